/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The processes of the host as the kernel side tells of them, which service each belongs to and whether it is observed.
 * Facts that only the keeper can read are asked for when a process first matters; until they are there, or it took too
 * long, processes_ready() holds back what comes from it. Memory is bounded, and a process that never spoke is forgotten
 * at its exit.
 */
#ifndef SONDE_WORKER_PROCESSES_H
#define SONDE_WORKER_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "channel/messages.h"
#include "config/config.h"
#include "event.h"
#include "model/resource.h"
#include "source/record.h"
#include "worker/outbox.h"
#include "worker/program.h"

#define SERVICE_PORTS_MAX 16

enum selection { SELECTION_UNKNOWN, SELECTED, NOT_SELECTED, NOT_SELECTED_YET }; /* YET: a port may still change it */

struct process {
	uint32_t tgid, parent, service, nspid;
	uint64_t start;	 /* CLOCK_BOOTTIME ns */
	uint64_t seen;	 /* CLOCK_MONOTONIC ns: when we learned of it */
	uint64_t exited; /* CLOCK_MONOTONIC ns, 0 = alive */
	bool active;	 /* it moved bytes on a socket */
	bool ignored;	 /* the keeper was told not to observe it */
	struct program *program;
	struct resource *resource; /* NULL until it is needed */
	enum selection selection;
	size_t selection_ports; /* how many ports were known when it was decided */
	/* kept here for worker/libraries.c */
	bool maps_known;     /* what it maps was seen as it happened, or was asked for */
	uint64_t mapped;     /* CLOCK_MONOTONIC ns: when it was last heard to map a file */
	uint64_t libraries;  /* bits of the libraries it maps */
	uint64_t wire_since; /* its PostgreSQL traffic is readable on the wire since then, 0 = none seen */
	uint64_t hidden;     /* when it last spoke PostgreSQL that only libpq could read */
	uint64_t negotiated; /* when it last negotiated TLS with PostgreSQL; 0: not since OpenSSL's calls told a
				statement */
	uint64_t tls;	     /* when it last spoke TLS that libpq does not tell of, 0 = never */
	uint8_t hints;	     /* enum library_hint of worker/library_kinds.h */
};

struct processes_config {
	const struct config *config;
	struct program_host host; /* strings must outlive the table */
	bool asks;		  /* false: nobody answers (replay), what is known at first need is all there is */
	/* Called when the facts of a program are complete: for recordings. May be NULL. */
	void (*learned)(void *context, uint32_t tgid, struct program *p);
	void *context;
};

struct processes;

struct processes *processes_new(const struct processes_config *cfg, struct outbox *out); /* NULL: out of memory */
void processes_free(struct processes *p);						 /* NULL is allowed */

/* What arrives. All times are CLOCK_MONOTONIC ns. */
void processes_event(struct processes *p, const struct event_process *e, uint64_t now);
void processes_message(struct processes *p, const struct message_process *m, uint64_t now);
void processes_identity(struct processes *p, uint32_t tgid, const struct bytes facts[PROGRAM_FACTS], uint64_t now);
/* An answer to a question of this table: fd stays the caller's, text is what was read from it. */
void processes_opened(struct processes *p, const struct message_opened *m, struct bytes text, uint64_t now);
/* A process of the service listens on this port. */
void processes_port(struct processes *p, uint32_t service, uint16_t port);
/* Asks for the facts of a process before it speaks. */
void processes_want(struct processes *p, uint32_t tgid, uint64_t now);
void processes_tick(struct processes *p, uint64_t now);

/* True when what this process did can be taken: its facts are known or will not come. */
bool processes_ready(struct processes *p, uint32_t tgid, uint32_t service, uint64_t now);
/* Borrowed. NULL: the process is not observed. */
struct resource *processes_resource(struct processes *p, uint32_t tgid, uint32_t service);
enum service_state { SERVICE_UNKNOWN, SERVICE_OBSERVED, SERVICE_EXCLUDED };

/* Whether what is counted under a number is observed; OBSERVED: *ret is borrowed, what its metrics belong to. */
enum service_state processes_service(struct processes *p, uint32_t service, struct resource **ret);
/* Borrowed: for what nothing is known of; NULL when the rules leave such a service out. */
struct resource *processes_unknown_resource(struct processes *p);
/* True when no process counts under this number any more. */
bool processes_service_dead(struct processes *p, uint32_t service);

struct process *processes_find(struct processes *p, uint32_t tgid); /* NULL when not known */
/* Walks all: start with *cursor = NULL. */
struct process *processes_next(struct processes *p, void **cursor);
/* Ports that the service listens on; *ret_n of them. */
const uint16_t *processes_ports(struct processes *p, uint32_t service, size_t *ret_n);

#endif
