/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/loader.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "channel/messages.h"
#include "config/config.h"
#include "drops.h"
#include "hist.h"
#include "keeper/denylist.h"
#include "keeper/libpq_sweep.h"
#include "keeper/refusal.h"
#include "keeper/tracepoint.h"
#include "keeper/uprobes.h"
#include "proc.h"
#include "sonde.skel.h"
#include "util/cleanup.h"

#define LINKS_MAX 24
#define HISTOGRAM_BYTES_MAX (64u << 20) /* over all CPUs */
#define HISTOGRAM_KEYS_MIN 512
#define RECOUNT_SWEEPS 10
#define UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI; Debian 12's headers do not know it */

struct loader {
	struct sonde_bpf *skel;
	const struct backend *backend;
	struct bpf_link *links[LINKS_MAX];
	const char *linked[LINKS_MAX];
	size_t links_n;
	struct bpf_link *sweep, *sockets;
	bool uprobe_multi, libraries, libraries_wanted;
	unsigned sweeps;
	uint64_t libpq_left;
};

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

static struct bpf_program *find(const struct loader *l, const char *name)
{
	return bpf_object__find_program_by_name(l->skel->obj, name);
}

/* Turns on the programs of a list that this kernel may have. False: one that is needed has no tracepoint to hang on. */
static bool want(struct loader *l, const struct program *programs, const struct btf *vmlinux, char *why,
		 size_t why_size)
{
	for (const struct program *p = programs; p->name; p++) {
		struct bpf_program *prog = find(l, p->name);

		if (prog && program_possible(p, vmlinux)) {
			bpf_program__set_autoload(prog, true);
		} else if (!p->optional) {
			snprintf(why, why_size, "%s %s is not in this kernel",
				 p->tracepoint ? "tracepoint" : "function",
				 p->tracepoint ? p->tracepoint
				 : p->function ? p->function
					       : p->name);
			return false;
		}
	}
	return true;
}

/* Each key takes memory on every CPU: what the user wants, as far as it stays bounded on large hosts. */
static uint32_t histogram_keys(const struct config *cfg)
{
	size_t each = (size_t)libbpf_num_possible_cpus() * (sizeof(struct hist_value) + sizeof(struct hist_key));
	size_t fit = HISTOGRAM_BYTES_MAX / (each ? each : 1);

	if (fit < HISTOGRAM_KEYS_MIN)
		fit = HISTOGRAM_KEYS_MIN;
	return cfg->max_keys < fit ? cfg->max_keys : (uint32_t)fit;
}

/* The keys that count what finds no room must be there before the table is full. */
static int make_overflow_keys(struct loader *l)
{
	static const uint8_t protocols[] = { PROTO_HTTP1, PROTO_POSTGRES, PROTO_MYSQL };
	size_t bytes = (size_t)libbpf_num_possible_cpus() * ((sizeof(struct hist_value) + 7) & ~7UL);
	_cleanup_free_ void *zero = calloc(1, bytes);

	if (!zero)
		return -ENOMEM;
	for (size_t i = 0; i < sizeof(protocols); i++) {
		for (int role = ROLE_CLIENT; role <= ROLE_SERVER; role++) {
			int last = protocols[i] == PROTO_HTTP1 ? HIST_STATEMENT : HIST_TRANSACTION_IDLE;

			for (int what = HIST_STATEMENT; what <= last; what++) {
				struct hist_key key = { .operation = HIST_OPERATION_OVERFLOW,
							.proto = protocols[i],
							.role = role,
							.method = what };

				if (bpf_map_update_elem(bpf_map__fd(l->skel->maps.histograms), &key, zero, BPF_ANY))
					return -errno;
			}
		}
	}
	return 0;
}

static uint32_t slice_budget(uint32_t spans_per_second)
{
	uint64_t n = ((uint64_t)spans_per_second << SPAN_SLICE_SHIFT) / 1000000000;

	return spans_per_second && n == 0 ? 1 : (uint32_t)n;
}

/* What its functions take changed (bpf/kernel.bpf.h). */
static unsigned parameters_of(const struct btf *vmlinux, const char *function)
{
	int id = btf__find_by_name_kind(vmlinux, function, BTF_KIND_FUNC);
	const struct btf_type *t = id > 0 ? btf__type_by_id(vmlinux, (__u32)id) : NULL;

	t = t ? btf__type_by_id(vmlinux, t->type) : NULL;
	return t && btf_is_func_proto(t) ? btf_vlen(t) : 0;
}

/* bpf/kernel.bpf.h says why. bpf_res_spin_lock came with the kernel (6.15) whose verifier takes it around our calls. */
static bool can_hold_cpu(const struct btf *vmlinux)
{
	return btf__find_by_name_kind(vmlinux, "bpf_preempt_disable", BTF_KIND_FUNC) > 0 &&
	       btf__find_by_name_kind(vmlinux, "bpf_res_spin_lock", BTF_KIND_FUNC) > 0;
}

/*
 * Before 6.1 (commit ee4ed53c5eb6, "bpf: Convert percpu hash map to per-cpu bpf_mem_alloc", and its like for hashes) a
 * map that allocates as it grows can hang the kernel when a program is inside the allocator, and 5.10 warns of it.
 * There all memory is taken at the start, so the tables are smaller; conn_table_full says when that is too little.
 */
static void preallocate(struct loader *l)
{
	static const uint32_t most = 8192;
	struct bpf_map *maps[] = { l->skel->maps.conns,	    l->skel->maps.threads,     l->skel->maps.procs,
				   l->skel->maps.libpq_ops, l->skel->maps.libpq_conns, l->skel->maps.socket_calls };

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		bpf_map__set_map_flags(maps[i], bpf_map__map_flags(maps[i]) & ~(uint32_t)BPF_F_NO_PREALLOC);
		if (bpf_map__max_entries(maps[i]) > most)
			bpf_map__set_max_entries(maps[i], most);
	}
}

#define TEXT_BYTES_MIN 8192
#define TEXT_BYTES_MAX 65536 /* what user space puts together, FRAGMENTS_MAX */

/* Bytes of a statement that may have so many characters: UTF-8 takes up to four for each. */
static uint32_t text_bytes(uint32_t characters)
{
	if (characters < TEXT_BYTES_MIN / 4)
		return TEXT_BYTES_MIN;
	return characters > TEXT_BYTES_MAX / 4 ? TEXT_BYTES_MAX : characters * 4;
}

static void configure(struct loader *l, const struct config *cfg, const struct btf *vmlinux)
{
	struct sonde_bpf *s = l->skel;
	uint32_t keys = histogram_keys(cfg);

	bpf_map__set_max_entries(s->maps.events, (uint32_t)cfg->ring_bytes);
	bpf_map__set_max_entries(s->maps.conns, cfg->max_conns);
	bpf_map__set_max_entries(s->maps.histograms, keys);
	if (!l->backend->calls)
		bpf_map__set_max_entries(s->maps.socket_calls, 1);
	s->rodata->recvmsg_parameters = parameters_of(vmlinux, "tcp_recvmsg");
	if (btf__find_by_name_kind(vmlinux, "bpf_mem_alloc", BTF_KIND_STRUCT) < 0)
		preallocate(l);
	s->rodata->histogram_keys_soft = keys - keys / 4;
	s->rodata->spans_wanted = cfg->sampler != SAMPLER_ALWAYS_OFF || cfg->record;
	s->rodata->spans_per_slice = cfg->record ? 0 : slice_budget(cfg->spans_per_second);
	s->rodata->hold_cpu_wanted = can_hold_cpu(vmlinux);
	s->rodata->fragment_limit = text_bytes(cfg->query_text_max);
}

static void want_libraries(struct loader *l)
{
	for (const struct program *p = library_programs; p->name; p++) {
		struct bpf_program *prog = find(l, p->name);

		if (!prog)
			continue;
		bpf_program__set_autoload(prog, l->libraries);
		if (l->uprobe_multi)
			bpf_program__set_expected_attach_type(prog, (enum bpf_attach_type)UPROBE_MULTI);
	}
}

static int try_load(struct loader *l, const struct config *cfg, const struct btf *vmlinux, char *why, size_t why_size)
{
	int r;

	l->skel = sonde_bpf__open();
	if (!l->skel)
		return -errno;
	configure(l, cfg, vmlinux);
	if (!want(l, l->backend->programs, vmlinux, why, why_size) ||
	    !want(l, lifecycle_programs, vmlinux, why, why_size))
		return -EOPNOTSUPP;
	want_libraries(l);
	r = sonde_bpf__load(l->skel);
	if (r)
		refusal_reason(r, why, why_size);
	return r;
}

static void unload(struct loader *l)
{
	for (size_t i = 0; i < l->links_n; i++)
		bpf_link__destroy(l->links[i]);
	l->links_n = 0;
	bpf_link__destroy(l->sweep);
	bpf_link__destroy(l->sockets);
	l->sweep = l->sockets = NULL;
	sonde_bpf__destroy(l->skel);
	l->skel = NULL;
}

/* With libraries, then without: what a kernel refuses must not take the rest with it. */
static int load(struct loader *l, const struct config *cfg, const struct btf *vmlinux, char *why, size_t why_size)
{
	int r;

	l->libraries = l->libraries_wanted && !denylist_return_probes();
	l->uprobe_multi = l->libraries && uprobes_multi();
	r = try_load(l, cfg, vmlinux, why, why_size);
	if (r == 0 || r == -EPERM || r == -EOPNOTSUPP || !l->libraries)
		return r;
	unload(l);
	l->libraries = false;
	return try_load(l, cfg, vmlinux, why, why_size);
}

static struct bpf_link *attach_one(struct loader *l, const struct program *p)
{
	struct bpf_program *prog = find(l, p->name);
	union bpf_iter_link_info info = { 0 };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	int fd;

	if (strcmp(p->name, "socket_close") == 0) {
		struct bpf_link *link;

		fd = tracepoint_open("syscalls", "sys_enter_close");
		if (fd < 0) {
			errno = -fd;
			return NULL;
		}
		link = bpf_program__attach_perf_event(prog, fd);
		if (!link)
			close(fd);
		return link;
	}
	if (strcmp(p->name, "sweep") == 0) {
		info.map.map_fd = (uint32_t)bpf_map__fd(l->skel->maps.conns);
		return bpf_program__attach_iter(prog, &opts);
	}
	return bpf_program__attach(prog);
}

static int attach_all(struct loader *l, const struct program *programs, char *why, size_t why_size)
{
	for (const struct program *p = programs; p->name; p++) {
		struct bpf_program *prog = find(l, p->name);
		struct bpf_link *link;

		if (!prog || !bpf_program__autoload(prog))
			continue;
		link = attach_one(l, p);
		if (!link && !p->optional) {
			int r = -errno;

			snprintf(why, why_size, "%s cannot be attached: %s%s%s",
				 p->tracepoint ? p->tracepoint
				 : p->function ? p->function
					       : p->name,
				 strerror(-r), r == -ENOENT ? "; it " : "", r == -ENOENT ? l->backend->needs : "");
			return r;
		}
		if (!link)
			continue;
		if (strcmp(p->name, "sweep") == 0)
			l->sweep = link;
		else if (strcmp(p->name, "sockets") == 0)
			l->sockets = link;
		else if (l->links_n < LINKS_MAX) {
			l->linked[l->links_n] = p->name;
			l->links[l->links_n++] = link;
		}
	}
	return 0;
}

static int start_one(struct loader *l, const struct config *cfg, const struct btf *vmlinux, char *why, size_t why_size)
{
	struct proc self = { .flags = PROC_IGNORE | PROC_SELF };
	uint32_t tgid = (uint32_t)getpid();
	int r = load(l, cfg, vmlinux, why, why_size);

	if (r == 0)
		r = bpf_map_update_elem(bpf_map__fd(l->skel->maps.procs), &tgid, &self, BPF_ANY);
	if (r == 0)
		r = make_overflow_keys(l);
	/* Processes first: what forks while sockets are being attached is then known. */
	if (r == 0)
		r = attach_all(l, lifecycle_programs, why, why_size);
	if (r == 0)
		r = attach_all(l, l->backend->programs, why, why_size);
	if (r)
		unload(l);
	return r;
}

static int start(const struct config *cfg, const struct backend *backend, bool libraries, struct loader **ret,
		 char *why, size_t why_size)
{
	struct loader *l = calloc(1, sizeof(*l));
	struct btf *vmlinux;
	int r = -EOPNOTSUPP;

	if (!l)
		return -ENOMEM;
	l->libraries_wanted = libraries;
	libbpf_set_print(quiet);
	vmlinux = btf__load_vmlinux_btf();
	if (!vmlinux)
		refusal_reason(r, why, why_size);
	for (const struct backend *b = backend ? backend : backends; vmlinux && b->name; b++) {
		l->backend = b;
		r = start_one(l, cfg, vmlinux, why, why_size);
		if (r == 0 || backend)
			break;
	}
	btf__free(vmlinux);
	malloc_trim(0); /* the kernel's types took several MiB */
	if (r) {
		free(l);
		return r;
	}
	*ret = l;
	return 0;
}

int loader_start(const struct config *cfg, const struct backend *backend, struct loader **ret, char *why,
		 size_t why_size)
{
	return start(cfg, backend, true, ret, why, why_size);
}

int loader_try(const struct config *cfg, const struct backend *backend, struct loader **ret, char *why, size_t why_size)
{
	return start(cfg, backend, false, ret, why, why_size);
}

void loader_free(struct loader *l)
{
	if (!l)
		return;
	unload(l);
	free(l);
}

const struct backend *loader_backend(const struct loader *l)
{
	return l->backend;
}

bool loader_has(const struct loader *l, const char *program)
{
	struct bpf_program *prog = find(l, program);

	for (size_t i = 0; i < l->links_n; i++)
		if (strcmp(l->linked[i], program) == 0)
			return true;
	for (const struct program *p = library_programs; p->name; p++)
		if (strcmp(p->name, program) == 0)
			return prog && l->libraries;
	return strcmp(program, "sweep") == 0 ? l->sweep != NULL : strcmp(program, "sockets") == 0 && l->sockets;
}

bool loader_uprobe_multi(const struct loader *l)
{
	return l->uprobe_multi;
}

int loader_ring_fd(const struct loader *l)
{
	return bpf_map__fd(l->skel->maps.events);
}

int loader_histograms_fd(const struct loader *l)
{
	return bpf_map__fd(l->skel->maps.histograms);
}

int loader_counters_fd(const struct loader *l)
{
	return bpf_map__fd(l->skel->maps.counters);
}

struct bpf_program *loader_program(const struct loader *l, const char *program)
{
	return l->libraries ? find(l, program) : NULL;
}

void loader_next_generation(struct loader *l)
{
	l->skel->data->generation++;
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
	int fd = bpf_map__fd(l->skel->maps.histograms);
	struct hist_key at, next;
	uint32_t n = 0;

	for (int r = bpf_map_get_next_key(fd, NULL, &next); r == 0; r = bpf_map_get_next_key(fd, &at, &next)) {
		at = next;
		n++;
	}
	l->skel->bss->histogram_keys = n;
}

/* One that the kernel side itself does not count. */
static void set_counter(struct loader *l, uint32_t counter, uint64_t value)
{
	_cleanup_free_ uint64_t *cpus = calloc((size_t)libbpf_num_possible_cpus(), sizeof(*cpus));

	if (!cpus)
		return;
	cpus[0] = value;
	bpf_map_update_elem(bpf_map__fd(l->skel->maps.counters), &counter, cpus, BPF_ANY);
}

/* A program is skipped on a CPU where it, or for some any other, was interrupted in the middle; the kernel counts that.
 */
static void count_skipped(struct loader *l)
{
	struct bpf_program *p;
	uint64_t skipped = 0;

	bpf_object__for_each_program(p, l->skel->obj)
	{
		struct bpf_prog_info info = { 0 };
		uint32_t size = sizeof(info);

		if (bpf_program__fd(p) >= 0 && bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &size) == 0)
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

struct libpq_copies *loader_copies(struct loader *l)
{
	return l->skel->bss->libpq_copies;
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
	l->libpq_left += libpq_sweep(l->skel->obj);
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
	int fd = bpf_map__fd(l->skel->maps.procs);
	struct proc v = { .service = service };

	if (bpf_map_update_elem(fd, &tgid, &v, BPF_NOEXIST) && bpf_map_lookup_elem(fd, &tgid, &v))
		return -errno;
	if (v.flags & PROC_SELF)
		return -EPERM;
	*ret_service = v.service;
	return 0;
}

int loader_set_process(struct loader *l, uint32_t tgid, uint32_t service, uint32_t flags)
{
	int fd = bpf_map__fd(l->skel->maps.procs);
	struct proc v;

	if (bpf_map_lookup_elem(fd, &tgid, &v))
		return -ESRCH;
	if (v.flags & PROC_SELF)
		return -EPERM;
	if (service)
		v.service = service;
	v.flags = flags & PROC_IGNORE;
	return bpf_map_update_elem(fd, &tgid, &v, BPF_EXIST) ? -errno : 0;
}

/* "memlock:" of the map's fdinfo: what the kernel has allocated for it; before 6.4, what it may come to. */
static uint64_t map_memory(const struct bpf_map *map)
{
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long long bytes;
	char path[64], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", bpf_map__fd(map));
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			return bytes;
	return 0;
}

uint64_t loader_map_bytes(const struct loader *l, bool *ret_at_most)
{
	const struct bpf_map *conns = l->skel->maps.conns, *map;
	uint64_t total = 0;

	bpf_object__for_each_map(map, l->skel->obj) total += map_memory(map);
	*ret_at_most = bpf_map__map_flags(conns) & BPF_F_NO_PREALLOC &&
		       map_memory(conns) >= (uint64_t)bpf_map__max_entries(conns) * bpf_map__value_size(conns);
	return total;
}
