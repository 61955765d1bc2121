/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parents and children. A span whose parent is not settled yet waits for it; when it settles, all that wait for it
 * settle too, and so on down. What settled is remembered for children that come late. Bounded in number and in time.
 */
#ifndef SONDE_SESSION_GRAPH_H
#define SONDE_SESSION_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/context.h"
#include "session/ids.h"
#include "session/trace.h"

/* A span on its way. Allocated by node_new(), owned by the graph from graph_add() on. */
struct node {
	struct span *span;
	uint64_t id;	 /* exchange id; 0 = nothing can be its child */
	uint64_t parent; /* exchange id, 0 = a local root; or PARENT_STRAND */
	struct remote_context remote;
	char *tracestate;	    /* owned, NULL = none */
	uint64_t start, end;	    /* CLOCK_MONOTONIC ns */
	bool remember;		    /* children may come after it settled */
	uint64_t since;		    /* when it began to wait */
	uint64_t waits_for;	    /* key under which it waits */
	struct node *next;	    /* waits for the same */
	struct node *older, *newer; /* of all that wait in the same hold */
};

struct node *node_new(struct span *span); /* takes the reference; NULL: no memory, span released */

struct graph;

struct graph *graph_new(const struct assembly_config *cfg, struct ledger *ledger, struct ids *ids,
			assembly_emit_fn *emit, void *ctx);
void graph_free(struct graph *g); /* without emitting; NULL is allowed */
void graph_add(struct graph *g, struct node *n, uint64_t now);
/*
 * The strand (PARENT_STRAND) wrote the answer of a server exchange: what it asked meanwhile was asked for that. Before
 * graph_add() of the exchange.
 */
void graph_answered(struct graph *g, uint64_t strand, uint64_t exchange, uint64_t start, uint64_t end, uint64_t now);
/* What had a late parent (parent_is_late) was asked for this one, 0 = for none. */
void graph_told(struct graph *g, uint64_t late, uint64_t parent, uint64_t now);
/* The same of what has been added; it is counted. */
void graph_found(struct graph *g, uint64_t late, uint64_t parent, uint64_t now);
/* A server exchange whose client is on this host (connection id client): waits for the client's record. */
void graph_await_client(struct graph *g, struct node *n, uint64_t client, uint64_t now);
/*
 * The record of a client exchange on connection conn: the server exchange that waited for it, if any, becomes its
 * child. Returns it, borrowed until the next call, or NULL.
 */
const struct node *graph_client_came(struct graph *g, uint64_t conn, uint64_t exchange, uint64_t start, uint64_t end,
				     uint64_t now);
/* Lets go of what has waited since before; of what waits for a client's record, since clients_before. */
void graph_expire(struct graph *g, uint64_t before, uint64_t clients_before, uint64_t now);
/* Everything, as if its parent never came; not counted as held too long. */
void graph_flush(struct graph *g, uint64_t now);
size_t graph_held(const struct graph *g);

/*
 * How well a server's time fits into its client's: by how much they overlap; negative: by how much they miss each
 * other, when the client's hook ran late. A server that began after the client had its answer worked for another one.
 */
static inline int64_t graph_fit(uint64_t client_start, uint64_t client_end, uint64_t server_start, uint64_t server_end)
{
	uint64_t start = client_start > server_start ? client_start : server_start;
	uint64_t end = client_end < server_end ? client_end : server_end;

	return server_start > client_end ? INT64_MIN : (int64_t)(end - start);
}

#define GRAPH_FIT_MIN (-50000) /* ns */

#endif
