/* SPDX-License-Identifier: Apache-2.0 */
/* What libraries.c keeps, and library_policy.c decides about. Private to the two. */
#ifndef SONDE_WORKER_LIBRARIES_STATE_H
#define SONDE_WORKER_LIBRARIES_STATE_H

#include "util/hashmap.h"
#include "worker/libraries.h"
#include "worker/library_kinds.h"

#define LIBRARIES_MAX 64 /* bits of struct process.libraries */
#define FILES_MAX 4096
#define SCANS_MAX 1024	/* processes that wait for their maps to be read */
#define SCANS_AT_ONCE 4 /* so that questions about who they are do not wait behind */
#define PORTS_MAX 8
#define MAPPINGS_MAX 16
#define ANCESTORS_MAX 8
#define WAITING_MAX 4
#define ATTACH_TRIES 3

enum library_state { LIBRARY_FREE, LIBRARY_ATTACHING, LIBRARY_ATTACHED, LIBRARY_DETACHED, LIBRARY_FAILED };

/* A process that mapped the file, and where: what the keeper opens it by. */
struct mapping {
	uint32_t tgid;
	uint64_t start, len, pgoff;
};

struct library {
	enum library_state state;
	enum library_kind kind;
	uint32_t handle, token;
	uint32_t tgid;			       /* the process it was attached through */
	struct mapping mappings[MAPPINGS_MAX]; /* the newest */
	unsigned mappings_n;
	uint64_t attached; /* CLOCK_MONOTONIC ns */
	unsigned tries;
	unsigned relapses;	   /* TLS was negotiated after all processes had proved readable */
	bool spoke;		   /* a statement came from it since it was attached */
	uint16_t tls_port;	   /* the TLS connection it was attached again for, 0 = none */
	uint16_t ports[PORTS_MAX]; /* ports whose TLS turned out not to be PostgreSQL's */
	unsigned ports_n;
	struct library_points points;
};

struct file_key {
	uint32_t dev_major, dev_minor;
	uint64_t ino;
};

/* A question that is open. */
struct asked {
	struct file_key key; /* ino 0: for the maps of a process */
	uint32_t tgid;
	bool at_start;
};

enum file_state { FILE_ASKED, FILE_KNOWN };

struct file {
	enum file_state state;
	uint64_t generation; /* of the inode, 0 = not known yet */
	uint64_t libraries;  /* bits of those in it */
	bool is_go;
	uint32_t go_minor; /* 1.minor; 0 = not known */
	int64_t go_g;	   /* library_go_g() */
	int64_t tokio;	   /* library_tokio() */
	struct library_python python;
	struct jvm jvm;
	uint32_t token; /* FILE_ASKED, as the following */
	struct mapping waiting[WAITING_MAX];
	unsigned waiting_n;
};

/* Mapped by a process of which the ring has not told yet: what is noted with a process would be lost. */
struct early {
	struct message_mapped m;
	uint64_t until; /* it is taken without that; 0: from the next tick on for EARLY_NS */
};

#define EARLY_MAX 32
#define EARLY_NS 1000000000ULL

struct libraries {
	struct processes *processes;
	struct outbox *out;
	struct ledger *ledger;
	struct hashmap *files;	   /* struct file_key -> struct file */
	struct hashmap *asked;	   /* token -> struct asked */
	unsigned start_open;	   /* of these, those about what was mapped before the start */
	bool at_start;		   /* what is asked now is about that */
	uint32_t scans[SCANS_MAX]; /* a ring */
	size_t scans_head, scans_n;
	struct library v[LIBRARIES_MAX];
	uint32_t next_token;
	struct early early[EARLY_MAX];
	unsigned early_n;
	uint64_t ticked;
	uint64_t hidden_client; /* when a database's client last began TLS that only the server's end can read */
};

/* libraries.c: has the library probed, by way of process p or any other that maps it; and no longer. */
void libraries_attach(struct libraries *l, struct library *lib, const struct process *p);
void libraries_detach(struct libraries *l, struct library *lib);

/* library_policy.c: a process p mapped it. Is it to be probed at once? */
bool library_wanted(const struct libraries *l, const struct library *lib, const struct process *p);
/* Every second or so: detaches what is not needed. */
void library_policy_tick(struct libraries *l, uint64_t now);
/* A program whose TLS cannot be read at its own end is there. */
void library_own_tls(struct libraries *l, struct process *p);

#endif
