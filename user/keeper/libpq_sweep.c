/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/libpq_sweep.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "keeper/held.h"
#include "libpq.h"
#include "proc.h"
#include "util/cleanup.h"

#define SWEEP_MAX 4096 /* at once; the rest at the next time */

struct maps {
	int ops, conns, procs;
};

/* A statement before the head of its connection's, or of a connection without state, is reached by nobody. */
static bool is_left(const struct maps *s, const struct libpq_owner *op)
{
	struct libpq_conn conn;
	struct proc proc;

	if (bpf_map_lookup_elem(s->procs, &op->tgid, &proc) && errno == ENOENT)
		return true;
	if (bpf_map_lookup_elem(s->conns, &op->conn, &conn))
		return errno == ENOENT;
	return (int32_t)(op->number - conn.head) < 0;
}

uint32_t libpq_sweep(const struct held *held)
{
	struct maps m = { .ops = held_map(held, "libpq_ops"),
			  .conns = held_map(held, "libpq_conns"),
			  .procs = held_map(held, "procs") };
	struct bpf_map_info info = { 0 };
	uint32_t removed = 0, looked = 0, size = sizeof(info);
	_cleanup_free_ char *op = NULL;
	uint64_t at, next;
	int r;

	if (bpf_obj_get_info_by_fd(m.ops, &info, &size))
		return 0;
	op = malloc(info.value_size);
	if (!op)
		return 0;
	r = bpf_map_get_next_key(m.ops, NULL, &next);
	while (r == 0 && looked++ < SWEEP_MAX) {
		at = next;
		r = bpf_map_get_next_key(m.ops, &at, &next); /* before it goes */
		if (bpf_map_lookup_elem(m.ops, &at, op) || !is_left(&m, (const struct libpq_owner *)op))
			continue;
		removed += bpf_map_delete_elem(m.ops, &at) == 0;
	}
	return removed;
}
