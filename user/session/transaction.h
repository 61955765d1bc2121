/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions of a database connection that streams, followed as bpf/core/transaction.bpf.c follows those of the
 * others, and what a transaction that ended says.
 *
 * Command tags tell where in a pipeline, or in a text of several statements, one begins and ends; ReadyForQuery tells
 * what no tag did.
 */
#ifndef SONDE_SESSION_TRANSACTION_H
#define SONDE_SESSION_TRANSACTION_H

#include <stdbool.h>
#include <stdint.h>

#include "event.h"
#include "model/attr.h"
#include "proto/proto.h"

struct transaction_end {
	uint64_t duration, idle; /* ns */
	uint32_t statements;
	uint8_t outcome; /* enum transaction_outcome */
};

/* Zeroed: nothing is known yet. */
struct transaction {
	uint64_t since;	     /* where it began, or where one that nobody saw begin would have; 0 = nowhere */
	uint64_t busy;	     /* ns since then in which statements ran */
	uint64_t busy_until; /* end of the last one */
	uint32_t statements;
	char status; /* after the last ReadyForQuery; 0 = not known */
	bool open, failed;
	bool ended; /* since the last ReadyForQuery one did */
};

/* What the kernel side said of one that ended at end. */
struct transaction_end transaction_ended(const struct event_transaction *t, uint64_t end);
/* Goes on where the kernel side stands. */
void transaction_carry(struct transaction *t, const struct event_transaction *from);
/* A statement ended; text is its own, empty = not known. True: the transaction ended with it. */
bool transaction_statement(struct transaction *t, const struct stream_operation *op, struct bytes text,
			   struct transaction_end *ret);
/* What the server says of itself (I, T, E). True: one had ended before. */
bool transaction_ready(struct transaction *t, char status, struct transaction_end *ret);
/* Something was not seen: until the server says that none is open, nothing is known. */
void transaction_lost(struct transaction *t);
/* The connection ended. True: inside of one. */
bool transaction_closed(struct transaction *t, uint64_t time, struct transaction_end *ret);

/* "commit", "rollback"; empty: neither. */
struct bytes transaction_outcome_name(uint32_t outcome);
/* Attributes of the statement that ended it. */
void transaction_describe(struct attrs *to, const struct transaction_end *end);

#endif
