/* SPDX-License-Identifier: Apache-2.0 */
/* What the keeper reads from, and writes to, the maps of what is loaded, and the iterators that go over them. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/messages.h"
#include "drops.h"
#include "hist.h"
#include "keeper/libpq_sweep.h"
#include "keeper/loader.h"
#include "keeper/loader_state.h"
#include "proc.h"
#include "util/cleanup.h"

#define RECOUNT_SWEEPS 10

void loader_next_generation(struct loader *l)
{
	l->held.data->generation++;
}

static void read_iterator(struct bpf_link *link, void (*fn)(void *, const char *, size_t), void *context)
{
	_cleanup_close_ int fd = -1;
	char block[4096];
	ssize_t n;

	if (!link)
		return;
	fd = bpf_iter_create(bpf_link__fd(link));
	while (fd >= 0 && ((n = read(fd, block, sizeof(block))) > 0 || (n < 0 && errno == EAGAIN)))
		if (n > 0 && fn)
			fn(context, block, (size_t)n);
}

/* The worker removes keys of services that ended; the kernel side only sees those that come. */
static void count_histogram_keys(struct loader *l)
{
	int fd = held_map(&l->held, "histograms");
	struct hist_key at, next;
	uint32_t n = 0;

	for (int r = bpf_map_get_next_key(fd, NULL, &next); r == 0; r = bpf_map_get_next_key(fd, &at, &next)) {
		at = next;
		n++;
	}
	l->held.bss->histogram_keys = n;
}

/* One that the kernel side itself does not count. */
static void set_counter(struct loader *l, uint32_t counter, uint64_t value)
{
	_cleanup_free_ uint64_t *cpus = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*cpus));

	if (!cpus)
		return;
	cpus[0] = value;
	bpf_map_update_elem(held_map(&l->held, "counters"), &counter, cpus, BPF_ANY);
}

/* A program is skipped on a CPU where it, or for some any other, was interrupted in the middle; the kernel counts that.
 */
static void count_skipped(struct loader *l)
{
	uint64_t skipped = 0;

	for (size_t i = 0; i < l->held.programs_n; i++) {
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (bpf_obj_get_info_by_fd(l->held.programs[i].fd, &info, &size) == 0)
			skipped += info.recursion_misses;
	}
	if (skipped)
		set_counter(l, KERNEL_hooks_skipped, skipped);
}

void loader_stop_observing(struct loader *l)
{
	count_skipped(l);
	for (size_t i = 0; i < l->links_n; i++)
		bpf_link__destroy(l->links[i]);
	l->links_n = 0;
}

struct probed_file *loader_probed(struct loader *l)
{
	return l->held.bss->probed_files;
}

void loader_sweep(struct loader *l)
{
	uint64_t left;

	read_iterator(l->sweep, NULL, NULL);
	if (++l->sweeps % RECOUNT_SWEEPS)
		return;
	count_histogram_keys(l);
	count_skipped(l);
	left = l->libpq_left;
	l->libpq_left += libpq_sweep(&l->held);
	if (l->libpq_left != left)
		set_counter(l, KERNEL_libpq_left, l->libpq_left);
}

struct socket_record {
	uint32_t tgid;
	uint32_t state;
	struct event_connection conn;
};

struct socket_reader {
	loader_socket_fn *fn;
	void *context;
	struct socket_record record;
	size_t have;
};

static void take_sockets(void *context, const char *p, size_t n)
{
	struct socket_reader *r = context;

	while (n) {
		size_t take = sizeof(r->record) - r->have;
		struct message_socket m = { .kind = MESSAGE_SOCKET };

		if (take > n)
			take = n;
		memcpy((char *)&r->record + r->have, p, take);
		r->have += take;
		p += take;
		n -= take;
		if (r->have < sizeof(r->record))
			return;
		r->have = 0;
		m.tgid = r->record.tgid;
		m.state = r->record.state;
		m.conn = r->record.conn;
		r->fn(r->context, &m);
	}
}

int loader_sockets(struct loader *l, loader_socket_fn *fn, void *context)
{
	struct socket_reader r = { .fn = fn, .context = context };

	if (!l->sockets)
		return -EOPNOTSUPP;
	read_iterator(l->sockets, take_sockets, &r);
	return 0;
}

int loader_seed_process(struct loader *l, uint32_t tgid, uint32_t service, uint32_t *ret_service)
{
	int fd = held_map(&l->held, "procs");
	struct proc v = { .service = service };

	if (bpf_map_update_elem(fd, &tgid, &v, BPF_NOEXIST) && bpf_map_lookup_elem(fd, &tgid, &v))
		return -errno;
	if (v.flags & PROC_SELF)
		return -EPERM;
	*ret_service = v.service;
	return 0;
}

static int tell(struct loader *l, struct proc_told *told)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .ctx_in = told, .ctx_size_in = sizeof(*told));

	if (bpf_prog_test_run_opts(held_program(&l->held, "process_told"), &opts))
		return -errno;
	return (int)opts.retval;
}

int loader_set_process(struct loader *l, uint32_t tgid, bool ignore)
{
	struct proc_told told = { .tgid = tgid, .set = ignore ? PROC_IGNORE : 0, .clear = ignore ? 0 : PROC_IGNORE };

	return tell(l, &told);
}

int loader_set_strands(struct loader *l, const struct message_strands *m)
{
	bool python = m->strand == STRAND_PYTHON && m->minor >= PYTHON_MINOR_MIN && m->minor <= PYTHON_MINOR_MAX;
	bool moves = m->strand == STRAND_GO || m->strand == STRAND_TOKIO;
	struct proc_told told = { .tgid = m->tgid, .strand = (uint8_t)m->strand };

	if (m->strand == STRAND_POOLS)
		return tell(l, &(struct proc_told){ .tgid = m->tgid, .set = PROC_POOLS });
	if (!moves && m->strand != STRAND_GREENLETS && m->strand != STRAND_JAVA && !python)
		return -EINVAL;
	if (m->strand != STRAND_GREENLETS) {
		told.strand_at = m->at;
		told.minor = m->minor <= UINT8_MAX ? (uint8_t)m->minor : 0;
		memcpy(told.java, m->java, sizeof(told.java));
	}
	if (moves) {
		told.set = PROC_MOVES;
		l->held.bss->any_moves = 1;
	}
	l->held.bss->any_strands = 1;
	return tell(l, &told);
}

/* "memlock:" of the map's fdinfo: what the kernel has allocated for it; before 6.4, what it may come to. */
static uint64_t map_memory(int fd)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long long bytes;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			return bytes;
	return 0;
}

uint64_t loader_map_bytes(const struct loader *l, bool *ret_at_most)
{
	struct bpf_map_info conns = { 0 };
	uint32_t size = sizeof(conns);
	int fd = held_map(&l->held, "conns");
	uint64_t total = 0;

	for (size_t i = 0; i < l->held.maps_n; i++)
		total += map_memory(l->held.maps[i].fd);
	*ret_at_most = bpf_obj_get_info_by_fd(fd, &conns, &size) == 0 && conns.map_flags & BPF_F_NO_PREALLOC &&
		       map_memory(fd) >= (uint64_t)conns.max_entries * conns.value_size;
	return total;
}

void loader_forget(struct loader *l)
{
	held_drop(&l->held);
	malloc_trim(0);
}
