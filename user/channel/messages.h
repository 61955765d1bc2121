/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keeper and worker say to each other over one SOCK_SEQPACKET pair: one message a packet, at most one descriptor
 * with it. Nothing else is shared but the ledger, the BPF map descriptors and the ring buffer. The keeper trusts no
 * field of a worker's message: every length and number is checked before use.
 */
#ifndef SONDE_CHANNEL_MESSAGES_H
#define SONDE_CHANNEL_MESSAGES_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"
#include "libpq.h"
#include "proc.h"

#define MESSAGE_MAX 16384
#define MESSAGE_POINTS_MAX 128

enum message_kind {
	/* keeper to worker */
	MESSAGE_PROCESS = 1, /* struct message_process: a process that existed at start (again after a restart) */
	MESSAGE_SOCKET,	     /* struct message_socket: a socket that existed at start */
	MESSAGE_MAPPED,	     /* struct message_mapped: a process mapped a file executable */
	MESSAGE_SCANNED,     /* struct message_plain: the start scan is complete */
	MESSAGE_OPENED,	     /* struct message_opened, with a descriptor when error is 0 */
	MESSAGE_ATTACHED,    /* struct message_attached */
	MESSAGE_STOP, /* struct message_plain, value = ms to flush: send what is queued, print the summary, exit 0 */
	/* worker to keeper */
	MESSAGE_OPEN = 64, /* struct message_open */
	MESSAGE_ATTACH,	   /* struct message_attach */
	MESSAGE_DETACH,	   /* struct message_detach */
	MESSAGE_SERVICE,   /* struct message_service: policy of a process */
	MESSAGE_READY,	   /* struct message_plain: the worker has taken in all it was told at start */
	MESSAGE_STRANDS,   /* struct message_strands: a process has strands */
};

struct message_plain {
	uint32_t kind;
	uint32_t value;
};

struct message_process {
	uint32_t kind;
	uint32_t tgid, parent, service, nspid;
	uint32_t uid;
	uint64_t start; /* CLOCK_BOOTTIME ns */
	char comm[16];
};

struct message_socket {
	uint32_t kind;
	uint32_t tgid;
	uint32_t state; /* TCP_LISTEN, TCP_ESTABLISHED, ... */
	uint32_t pad;
	struct event_connection conn; /* header.conn may be 0: not seen moving yet */
};

struct message_mapped {
	uint32_t kind;
	uint32_t tgid;
	uint32_t dev_major, dev_minor;
	uint64_t ino, ino_generation;
	uint64_t start, len, pgoff;
	char path[512]; /* NUL-terminated, as the kernel knows it; display only */
};

enum target_file {
	TARGET_EXE = 1, /* the executable itself, readable */
	TARGET_ENVIRON,
	TARGET_CMDLINE,
	TARGET_CGROUP,
	TARGET_MAPS,
	TARGET_MAPPING, /* the file mapped at [start, start+len) */
	TARGET_NET_TCP,
	TARGET_NET_TCP6,
	TARGET_EXE_LINK, /* the answer's path is where /proc/PID/exe points; no descriptor */
	TARGET_CWD_LINK,
};

struct message_open {
	uint32_t kind;
	uint32_t token; /* comes back in the answer */
	uint32_t tgid;
	uint32_t file;	     /* enum target_file */
	uint64_t start, len; /* TARGET_MAPPING */
};

struct message_opened {
	uint32_t kind;
	uint32_t token;
	int32_t error; /* 0 or negative errno */
	uint32_t dev_major, dev_minor;
	uint32_t pad;
	uint64_t ino, size;
	int64_t mtime_ns;
	char path[512];
};

/* Which BPF program a point runs: bpf/attach/libpq.bpf.c tells functions apart by the cookie. */
enum point_flag { POINT_RETURN = 1 << 0 };

struct message_point {
	uint64_t offset;   /* in the file */
	uint32_t function; /* enum libpq_function, becomes the cookie */
	uint32_t flags;
};

struct message_attach {
	uint32_t kind;
	uint32_t token;
	uint32_t tgid; /* a process that maps the file at [start, start+len) */
	uint32_t points_n;
	uint64_t start, len;
	struct message_point points[MESSAGE_POINTS_MAX];
};

struct message_attached {
	uint32_t kind;
	uint32_t token;
	int32_t error;
	uint32_t handle; /* for MESSAGE_DETACH */
};

struct message_detach {
	uint32_t kind;
	uint32_t handle;
};

enum service_flag { SERVICE_IGNORE = 1 << 0 };

struct message_service {
	uint32_t kind;
	uint32_t tgid;
	uint32_t flags;
};

struct message_strands {
	uint32_t kind;
	uint32_t tgid;
	uint32_t strand;	    /* enum strand_kind */
	uint32_t minor;		    /* struct proc.minor */
	uint64_t at;		    /* struct proc.strand_at */
	uint16_t java[JAVA_FIELDS]; /* and .java */
};

/*
 * One packet. fd = -1: none. 0 or negative errno (-EAGAIN when the other side is slow and the socket is non-blocking).
 */
int channel_send(int sock, const void *message, size_t size, int fd);
/*
 * Size of the packet, 0 when the other side is gone, or negative errno. *ret_fd is the descriptor that came with it
 * (close-on-exec) or -1. Packets larger than size are an error (-EMSGSIZE), never cut silently.
 */
int channel_receive(int sock, void *message, size_t size, int *ret_fd);
/* A connected pair, close-on-exec, with room for bursts. */
int channel_pair(int ret_socks[2]);

#endif
