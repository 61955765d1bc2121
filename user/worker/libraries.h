/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finds libpq in mapped files, whatever they are called, and has it probed as long as that is needed: from the moment a
 * process maps it, until every process that maps it proved readable on the wire, and again from the first TLS
 * negotiation after that.
 */
#ifndef SONDE_WORKER_LIBRARIES_H
#define SONDE_WORKER_LIBRARIES_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/messages.h"
#include "util/ledger.h"
#include "worker/outbox.h"
#include "worker/processes.h"

#define LIBRARIES_TOKEN (1u << 30) /* bit of the tokens of these questions */

struct libraries;

struct libraries *libraries_new(struct processes *processes, struct outbox *out, struct ledger *ledger);
void libraries_free(struct libraries *l); /* NULL is allowed */

/* A process mapped a file executable. */
void libraries_mapped(struct libraries *l, const struct message_mapped *m);
/* Asks what a process that existed at start has mapped. */
void libraries_scan(struct libraries *l, uint32_t tgid);
/* An answer with LIBRARIES_TOKEN in its token. fd stays the caller's, -1 when there is none. */
void libraries_opened(struct libraries *l, const struct message_opened *m, int fd);
void libraries_attached(struct libraries *l, const struct message_attached *m);
/* Each checked record: watches how processes speak PostgreSQL. */
void libraries_event(struct libraries *l, const struct event_header *e);
/* Every second or so: detaches what is not needed. */
void libraries_tick(struct libraries *l, uint64_t now);
/* True when all that was mapped before the start is known, and probed where needed. */
bool libraries_settled(const struct libraries *l);

#endif
