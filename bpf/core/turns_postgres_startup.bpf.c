/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Names in what a client of PostgreSQL sends: of statements, and in its StartupMessage of the database. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/turns.bpf.h"

#define FNV_BEGIN 2166136261u
#define FNV_DATABASE 0xa165ddb8u
#define FNV_USER 0x60785ef2u
#define PG_STARTUP_STEPS 8
#define PG_STARTUP_BLOCKS 64

/* Takes a byte of a StartupMessage's parameters. */
static __always_inline void startup_byte(struct startup_walk *w, char b)
{
	if (b) {
		w->hash = (w->hash ^ (__u8)b) * 16777619u;
		return;
	}
	if (!w->is_value) {
		w->done = w->hash == FNV_BEGIN;
		w->is_database = w->hash == FNV_DATABASE;
		w->is_user = w->hash == FNV_USER;
	} else if (w->is_user) {
		w->user = w->hash;
	}
	w->is_value ^= 1;
}

__noinline int pg_startup_block(struct conn *c, __u32 at)
{
	struct startup_walk *w;
	__u32 k;

	if (!c)
		return 0;
	w = &c->startup;
	for (k = 0; k < PG_STARTUP_STEPS; k++) {
		__u32 i = at + k;
		char b;

		asm volatile("" : "+r"(i));
		if (i >= EVENT_REQUEST_MAX || i >= c->ex.request_len || w->done)
			return 0;
		b = c->data.b[i];
		if (!b && w->is_value && w->is_database)
			c->database = w->hash;
		startup_byte(w, b);
		if (!b)
			w->hash = FNV_BEGIN;
		asm volatile("" ::: "memory");
	}
	return 1;
}

/* Whose database: transactions count by it. */
__noinline int turns_pg_startup(struct conn *c)
{
	__u32 k;

	if (!c)
		return 0;
	__builtin_memset(&c->startup, 0, sizeof(c->startup));
	c->startup.hash = FNV_BEGIN;
	c->database = 0;
	for (k = 0; k < PG_STARTUP_BLOCKS; k++)
		if (!pg_startup_block(c, 8 + k * PG_STARTUP_STEPS))
			break;
	if (!c->database)
		c->database = c->startup.user;
	return 0;
}

#define PG_NAME_MAX 64

__noinline __u64 turns_name(struct conn *c, __u32 off)
{
	__u32 hash = FNV_BEGIN, k;

	if (!c)
		return 0;
	for (k = 0; k < PG_NAME_MAX; k++) {
		__u32 at = off + k;

		asm volatile("" : "+r"(at));
		if (at >= EVENT_REQUEST_MAX || !c->data.b[at])
			break;
		hash = (hash ^ (__u8)c->data.b[at]) * 16777619u;
	}
	return (__u64)hash << 32 | k;
}
