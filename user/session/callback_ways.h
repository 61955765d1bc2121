/* SPDX-License-Identifier: Apache-2.0 */
/* What follows from one callback of an event loop. Private to callbacks.c and callback_ways.c. */
#ifndef SONDE_SESSION_CALLBACK_WAYS_H
#define SONDE_SESSION_CALLBACK_WAYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "session/callbacks.h"

/* In which ways programs use a pool of connections. */
enum way_kind {
	WAY_STATEMENT, /* each statement takes a connection, and gives it back */
	WAY_REQUEST,   /* each request does, for all that it asks */
	WAYS
};

/* What is done for one request, as one of the ways says. */
struct flow {
	unsigned refs;
	uint64_t request;    /* exchange id, 0 = not known */
	struct entry *calls; /* those that are still of interest, borrowed */
	uint64_t waits;	     /* in the queue, since: counted */
	uint32_t began;	     /* number of the callback */
	bool over;
};

/* A statement, or call of a service, or a request. */
struct entry {
	unsigned refs;
	bool is_call, waits, told;
	bool database; /* a call of one */
	bool goes_on;  /* a transaction is open behind it */
	bool prepares; /* a statement, and runs none */
	bool executes; /* one that was prepared */
	bool opens;    /* it opened its connection, which is free then */
	bool answered;
	uint64_t id, conn;
	uint64_t sure;		    /* a call's request, 0 = not known */
	struct entry *known;	    /* the same, borrowed, until the callback that asked was looked at */
	struct entry *before;	    /* a call whose request is the same, known or not; NULL = none */
	struct flow *flow[WAYS];    /* NULL = none yet */
	struct entry *others[WAYS]; /* the next call of the flow, borrowed */
};

struct entry *entry_ref(struct entry *e);
void entry_unref(struct entry *e); /* NULL is allowed */

#define TAKEN_MAX 128 /* connections of a pool */

/* What a program that used its pool in this way would do. */
struct way {
	struct flow **queue; /* what waits for a connection, longest first */
	size_t n, cap;
	struct entry
		*taken[TAKEN_MAX]; /* what came out of it and is not given back yet, in that order: the first call */
	size_t taken_n;
	uint64_t waited; /* how many did, ever */
	unsigned right;	 /* what was foretold rightly since it was wrong last */
	unsigned won;	 /* of that, where the other way foretold something else */
	unsigned judged; /* what was foretold since then, rightly or not known */
	bool was_wrong;
	uint32_t wrong_at; /* number of the callback */
};

/* What happened in one callback. Entries are borrowed. */
struct callback {
	uint32_t number;
	bool several;		/* more than one was read or answered: nothing follows */
	struct entry *read;	/* the request that it read */
	struct entry *answer;	/* the call whose answer it had */
	struct entry *response; /* the request that it began to answer */
	struct entry **asked;	/* calls, in their order */
	size_t asked_n;
	/* All of it; what opens a connection is no call here. */
	unsigned reads, answers, responses, calls;
};

#define TURN_MAX 64

struct ways {
	struct way v[WAYS];
	struct entry *turn[TURN_MAX]; /* what was read or answered in this turn of the loop, and may go on in its end */
	size_t turn_n;
	uint32_t turn_number; /* of the loop's turn */
	bool turn_several;    /* more happened in it than can be told apart */
	long open;	      /* requests that were read and not answered */
	long calls;	      /* the same */
	callbacks_told_fn *told;
	void *ctx;
};

/* So many requests are open already, and calls. */
void ways_begin(struct ways *w, long open, long calls, uint32_t number);
void ways_run(struct ways *w, const struct callback *b);
/* It is not waited for any longer whose the call is. */
void ways_give_up(struct ways *w, struct entry *call);
/* Nothing is known any more. */
void ways_clear(struct ways *w);

#endif
