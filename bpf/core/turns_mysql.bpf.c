/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* MySQL and MariaDB: include/frame/mysql.h and mysql_answer.h driven over the bytes of one call. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"
#include "maps.bpf.h"

/* --- requests --- */

/* Moves n bytes at s->b + from into a packet's head. */
__noinline int mysql_head_bytes(struct mysql_packets *p, struct capture *s, __u32 from, __u32 n)
{
	__u32 k;

	if (!p || !s)
		return 0;
	for (k = 0; k < MYSQL_HEAD; k++) {
		__u32 to = p->n, at = from + k;

		asm volatile("" : "+r"(to));
		asm volatile("" : "+r"(at));
		if (k >= n || to >= MYSQL_HEAD || at > EVENT_REQUEST_MAX)
			break;
		p->head[to & (MYSQL_HEAD - 1)] = s->b[at];
		p->n = to + 1;
		asm volatile("" ::: "memory");
	}
	return 0;
}

#define MYSQL_REQUEST_STEPS 96

/* Takes what comes next at off: the rest of a packet, or bytes of a head. How many bytes; negative: they are not there.
 */
__noinline int mysql_walk_step(struct io *io, struct conn *c, struct capture *s, __u64 off)
{
	struct mysql_request_walk *w;
	__u64 rest;
	__u32 take;

	if (!io || !c || !s || off >= io->n)
		return -1;
	w = &c->my.request;
	rest = io->n - off;
	if (w->packets.skip) {
		take = w->packets.skip < rest ? w->packets.skip : rest;
		w->packets.skip -= take;
		return take;
	}
	take = mysql_request_wants(w);
	if (take > rest)
		take = rest;
	if (take) {
		if (io_copy(io, off, s, 0, take) < (int)take)
			return -1;
		if (w->packets.n == MYSQL_HEADER && !w->commands)
			c->my.text = off < EVENT_REQUEST_MAX ? off + 1 : EVENT_REQUEST_MAX;
		mysql_head_bytes(&w->packets, s, 0, take);
	}
	if (!mysql_request_wants(w))
		mysql_request_packet(w);
	return take;
}

/* Walks what the client sent. Where the text of the first command begins goes to c->my.text. */
static __always_inline void walk(struct io *io, struct conn *c, struct capture *s)
{
	__u64 off = 0;
	int i;

	for (i = 0; i < MYSQL_REQUEST_STEPS && off < io->n; i++) {
		int n = mysql_walk_step(io, c, s, off);

		if (n < 0)
			break;
		off += n;
	}
	if (off < io->n)
		c->my.request.bad = 1;
}

/* Nearly all requests: one whole packet. */
static __always_inline int one_packet(struct io *io, struct conn *c)
{
	struct mysql_request_walk *w = &c->my.request;
	const __u8 *b = (const __u8 *)c->data.b;

	if (w->packets.skip || w->packets.n || w->packets.joined || io->n < 5 || io->n > MYSQL_FULL)
		return 0;
	if (mysql_le24(b) + MYSQL_HEADER != io->n || b[3] || !mysql_is_command(b[4]) || !mysql_has_answer(b[4]))
		return 0;
	w->command = b[4];
	w->commands = 1;
	w->statement = io->n >= 9 ? mysql_le32(b + 5) : 0;
	c->my.text = 5;
	return 1;
}

__noinline int turns_mysql_begins(struct io *io, struct conn *c, __u32 n)
{
	struct capture *s = io_scratch();
	struct mysql_request_walk *w;

	if (!io || !c || !s)
		return -1;
	w = &c->my.request;
	mysql_request_turn(w);
	if (c->my.starting == MYSQL_LOGIN) {
		w->commands = 1;
		return MYSQL_HANDSHAKE;
	}
	if (!one_packet(io, c))
		walk(io, c, s);
	if (w->bad) { /* no place from which to go on: a packet that begins a call is looked for */
		__builtin_memset(&w->packets, 0, sizeof(w->packets));
		return -1;
	}
	if (!w->commands)
		return -1; /* CLOSE, QUIT, data of a statement: never answered */
	if (w->command == MYSQL_COM_BINLOG_DUMP || w->command == MYSQL_COM_BINLOG_DUMP_GTID) {
		c->mode = MODE_IGNORE; /* a replica: rows without end */
		return -1;
	}
	return mysql_request_of(w->command);
}

/* True: not lock-step. */
__noinline int turns_mysql_request(struct conn *c)
{
	return c && c->my.request.commands > 1;
}

__noinline int turns_mysql_more(struct io *io, struct conn *c, struct capture *s)
{
	struct mysql_request_walk *w;
	__u8 commands;

	if (!io || !c || !s)
		return MORE_COUNT;
	w = &c->my.request;
	if (c->my.starting)
		return turns_mysql_login(io, c, s);
	if (c->ex.method == MYSQL_CHANGE_USER && c->phase == PHASE_ANSWER)
		return MORE_COUNT;
	commands = w->commands;
	if (c->phase == PHASE_ANSWER && c->my.answer.infile) {
		walk(io, c, s);
		w->commands = commands; /* the sequence numbers of a file's packets wrap */
		return MORE_COUNT;
	}
	walk(io, c, s);
	if (w->commands > commands) {
		w->commands = commands;
		return MORE_STREAM;
	}
	if (c->phase == PHASE_ANSWER || mysql_hides(c->ex.method))
		return MORE_COUNT;
	return MORE_KEEP;
}

/* --- answers --- */

#define MYSQL_PIECES 128
#define MYSQL_STEPS 16
#define MYSQL_ROW_STEPS 64

/* A function of its own: the verifier walks the loop around it turn by turn. */
__noinline __u32 mysql_alike_from(struct capture *s, __u32 at, __u32 len, __u32 n)
{
	__u32 rows = s ? mysql_alike(s->b, at, len, n) : 0;

	return rows ? rows : 1;
}

/* Whole headers of rows from at on; where the next packet begins, which may be behind n. */
__noinline int mysql_rows(struct mysql_answer *a, struct capture *s, __u32 at, __u32 n)
{
	__u32 k, before = 0;

	if (!a || !s)
		return 0;
	for (k = 0; k < MYSQL_ROW_STEPS; k++) {
		__u32 i = at, len, rows = 1;

		asm volatile("" : "+r"(i));
		if (i > EVENT_REQUEST_MAX || i + 5 > n)
			break;
		len = mysql_row(&s->b[i]);
		if (!len)
			break;
		if (len == before && a->rows > MYSQL_ALIKE_FROM)
			rows = mysql_alike_from(s, i, len, n);
		before = len;
		a->rows += rows;
		at = i + rows * len;
	}
	return at;
}

/* A packet of any kind: bytes of its head, left of them from at on, and when those are whole what it means. */
__noinline int mysql_answer_step(struct mysql_answer *a, struct capture *s, __u32 at, __u32 left)
{
	__u32 take;

	if (!a || !s)
		return 0;
	take = mysql_answer_wants(a);
	if (take > left)
		take = left;
	if (take)
		mysql_head_bytes(&a->packets, s, at, take);
	asm volatile("" ::: "memory");
	if (!mysql_answer_wants(a))
		mysql_answer_packet(a);
	return take;
}

/* Feeds the n bytes of s; how many were taken. */
__noinline int mysql_feed(struct mysql_answer *a, struct capture *s, __u32 n)
{
	__u32 at = 0, k;

	if (!a || !s || n > EVENT_REQUEST_MAX)
		return 0;
	for (k = 0; k < MYSQL_STEPS; k++) {
		__u32 left, take;

		asm volatile("" : "+r"(at));
		if (at >= n || mysql_answer_ended(a))
			break;
		left = n - at;
		if (a->packets.skip) {
			take = a->packets.skip < left ? a->packets.skip : left;
			a->packets.skip -= take;
			at += take;
			continue;
		}
		if (a->state == MYSQL_ROWS && !a->packets.n && !a->packets.joined) {
			at = mysql_rows(a, s, at, n);
			if (at >= n) {
				a->packets.skip = at - n;
				return n;
			}
			left = n - at;
		}
		at += mysql_answer_step(a, s, at, left);
		asm volatile("" ::: "memory");
	}
	return at;
}

#define MYSQL_TAIL_WINDOW 256

__noinline int mysql_tail_step(struct mysql_answer *a, struct capture *s, __u32 base, __u32 n)
{
	__u32 k;

	if (!a || !s)
		return 0;
	for (k = 0; k < STEP; k++) {
		__u32 at = base + k;

		asm volatile("" : "+r"(at));
		if (at >= n || at > MYSQL_TAIL_WINDOW)
			break;
		if (!s->b[at + 2] && mysql_tail(a, &s->b[at], n - at))
			return 1;
	}
	return 0;
}

/* The last n bytes of a call are in s: does the answer end there? */
__noinline int mysql_find_tail(struct mysql_answer *a, struct capture *s, __u32 n)
{
	__u32 k;

	if (!a || !s)
		return 0;
	for (k = 0; k < MYSQL_TAIL_WINDOW / STEP; k++)
		if (mysql_tail_step(a, s, k * STEP, n))
			return 1;
	return 0;
}

static __always_inline void tail(struct io *io, struct mysql_answer *a, struct capture *s)
{
	__u32 n = io->n > MYSQL_TAIL_WINDOW ? MYSQL_TAIL_WINDOW : io->n;

	if (io_copy(io, io->n - n, s, 0, n) == (int)n)
		mysql_find_tail(a, s, n);
}

/* Several results, but of a procedure that was called: its one statement has them all. */
static __always_inline int is_call(struct conn *c)
{
	__u32 at = c->my.text;

	asm volatile("" : "+r"(at));
	if (at > EVENT_REQUEST_MAX || !mysql_one_call(&c->my.answer))
		return 0;
	return (*(__u32 *)&c->data.b[at] | 0x20202020) == 0x6c6c6163;
}

__noinline int turns_mysql_answer(struct io *io, struct conn *c)
{
	struct capture *s = io_scratch();
	struct mysql_answer *a;
	__u64 off = 0;
	int i;

	if (!io || !c || !s)
		return FRAME_UNSURE;
	a = &c->my.answer;
	c->my.before = *a;
	for (i = 0; i < MYSQL_PIECES && off < io->n; i++) {
		__u64 rest = io->n - off;
		__u32 block;

		if (a->packets.skip) {
			if (rest > a->packets.skip)
				rest = a->packets.skip;
			a->packets.skip -= rest;
			off += rest;
			continue;
		}
		if (mysql_answer_ended(a))
			break;
		block = a->state == MYSQL_ROWS ? EVENT_REQUEST_MAX : FRAME_BLOCK;
		if (block > rest)
			block = rest;
		if (io_copy(io, off, s, 0, block) < (int)block) {
			count(KERNEL_io_without_buffer);
			a->state = MYSQL_LOST;
			break;
		}
		off += mysql_feed(a, s, block);
		asm volatile("" ::: "memory");
	}
	if (off < io->n && a->state == MYSQL_ROWS) { /* more than can be counted */
		a->state = MYSQL_TAIL;
		a->sets_uncounted = 1;
		a->packets.skip = 0;
		a->packets.n = 0;
	} else if (off < io->n && !mysql_answer_ended(a)) {
		a->state = MYSQL_LOST;
	}
	if (a->state == MYSQL_TAIL)
		tail(io, a, s);
	/* Several statements: each has its own span; a cursor: its rows are added up. Both where it is told apart. */
	if ((c->ex.method == MYSQL_QUERY && mysql_several(a) && !is_call(c)) ||
	    (c->ex.method == MYSQL_EXECUTE && mysql_opens_cursor(a))) {
		*a = c->my.before;
		return FRAME_STREAM;
	}
	return mysql_answer_verdict(a);
}

/* --- the end --- */

#define MYSQL_ROLLBACK 0x6b6361626c6c6f72ULL /* "rollback" */

/* Is a transaction open now? An error does not say. */
static __always_inline void transaction_status(struct conn *c)
{
	__u32 at = c->my.text;

	c->my.rolls_back = 0;
	if (c->ex.method == MYSQL_HANDSHAKE && !c->my.answer.error)
		c->status = 'I';
	if (!c->my.answer.results)
		return;
	c->status = c->my.answer.status & MYSQL_STATUS_IN_TRANSACTION ? 'T' : 'I';
	asm volatile("" : "+r"(at));
	if (c->ex.method == MYSQL_QUERY && at <= EVENT_REQUEST_MAX)
		c->my.rolls_back = (frame_load64(&c->data.b[at]) | 0x2020202020202020ULL) == MYSQL_ROLLBACK;
}

static __always_inline void mysql_operation(struct conn *c)
{
	struct event_exchange *ex = &c->ex;
	struct prepared_key key = {};
	__u32 at = c->my.text, len = ex->request_len;
	__u64 *known;

	key.conn = c->id;
	if (ex->method == MYSQL_EXECUTE) {
		key.name = c->my.request.statement;
		known = bpf_map_lookup_elem(&prepared, &key);
		if (known)
			ex->operation = *known;
		return;
	}
	if (ex->method != MYSQL_QUERY && ex->method != MYSQL_PREPARE)
		return;
	asm volatile("" : "+r"(at));
	if (at > EVENT_REQUEST_MAX - 8 || at >= len)
		return;
	if ((__u8)c->data.b[at] < ' ' && c->data.b[at + 1] == 1) { /* query attributes */
		if (c->data.b[at])
			return;
		at += 2;
	}
	ex->operation = turns_text_key_mysql(&c->data, &c->key, at, len > at ? len - at : 0);
	if (ex->method == MYSQL_PREPARE && !c->my.answer.error) {
		key.name = c->my.answer.statement;
		remember_prepared(&key, ex->operation);
	}
}

__noinline int turns_mysql_finish(struct conn *c)
{
	struct event_exchange *ex;
	struct mysql_result *r;
	__u32 at;

	if (!c)
		return 0;
	ex = &c->ex;
	if (c->my.answer.error) {
		ex->status = c->my.answer.error;
		ex->flags |= EXCHANGE_FAILED;
	}
	if (ex->method == MYSQL_EXECUTE && c->my.request.statement == MYSQL_LAST_PREPARED)
		c->my.request.statement = c->my.prepared;
	mysql_operation(c);
	transaction_status(c);
	if (ex->method == MYSQL_HANDSHAKE)
		c->database = turns_name(c, offsetof(struct mysql_hello, database)) >> 32;
	if (ex->method == MYSQL_PREPARE) {
		c->my.prepared = c->my.answer.error ? 0 : c->my.answer.statement;
		if (c->my.answer.error)
			ex->method = MYSQL_QUERY; /* no statement runs, but one failed: the server counts it so */
	}
	at = ex->request_len;
	asm volatile("" : "+r"(at));
	if (at <= EVENT_REQUEST_MAX) {
		r = (struct mysql_result *)&c->data.b[at];
		mysql_result_fill(r, &c->my.answer, ex->method == MYSQL_EXECUTE ? c->my.request.statement : 0);
		r->text = c->my.text;
		ex->answer_len = sizeof(*r);
		ex->tail_len = 0;
	}
	if (ex->method == MYSQL_HANDSHAKE) {
		c->my.starting = 0;
		if (c->my.compressed && !c->my.answer.error) {
			count(KERNEL_conns_compressed);
			c->mode = MODE_IGNORE;
		}
	}
	return 0;
}

/* The connection begins to stream: user space goes on where the walks stand. */
__noinline int turns_mysql_carry(struct conn *c)
{
	struct mysql_carry *to = c ? turns_carry(c) : NULL;

	if (!to)
		return 0;
	to->answer = c->my.answer;
	to->request = c->my.request;
	to->prepared = c->my.prepared;
	to->text = c->my.text;
	c->ex.answer_len = sizeof(*to);
	return 0;
}
