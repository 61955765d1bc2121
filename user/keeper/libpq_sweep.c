/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/libpq_sweep.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

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

uint32_t libpq_sweep(const struct bpf_object *object)
{
	const struct bpf_map *ops = bpf_object__find_map_by_name(object, "libpq_ops");
	struct maps m = { .ops = bpf_map__fd(ops),
			  .conns = bpf_object__find_map_fd_by_name(object, "libpq_conns"),
			  .procs = bpf_object__find_map_fd_by_name(object, "procs") };
	_cleanup_free_ char *op = malloc(bpf_map__value_size(ops));
	uint32_t removed = 0, looked = 0;
	uint64_t at, next;
	int r;

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
