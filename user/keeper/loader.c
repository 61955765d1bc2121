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

#include "config/config.h"
#include "hist.h"
#include "keeper/denylist.h"
#include "keeper/loader_state.h"
#include "keeper/perf_event.h"
#include "keeper/refusal.h"
#include "keeper/uprobes.h"
#include "proc.h"
#include "util/cleanup.h"

#define HISTOGRAM_BYTES_MAX (64u << 20) /* over all CPUs */
#define HISTOGRAM_KEYS_MIN 512
#define UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI; Debian 12's headers do not know it */

static char refused_program[64]; /* the last one that libbpf says the kernel did not take */

/* Says nothing itself: a verifier's log is megabytes. */
static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	static const char begin[] = "libbpf: prog '";
	char text[160];
	size_t n;

	if (level != LIBBPF_WARN || vsnprintf(text, sizeof(text), format, args) < 0 ||
	    strncmp(text, begin, sizeof(begin) - 1) != 0 || !strstr(text, "load failed"))
		return 0;
	n = strcspn(text + sizeof(begin) - 1, "'");
	snprintf(refused_program, sizeof(refused_program), "%.*s", (int)n, text + sizeof(begin) - 1);
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

/* How many bits tell the CPUs of this host apart, or as many as the programs have room for. */
static uint8_t cpu_bits(uint8_t most)
{
	uint8_t bits = 0;

	while (bits < most && 1 << bits < libbpf_num_possible_cpus())
		bits++;
	return bits;
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
	bpf_program__set_autoload(s->progs.process_told, true);
	s->rodata->recvmsg_parameters = parameters_of(vmlinux, "tcp_recvmsg");
	if (btf__find_by_name_kind(vmlinux, "bpf_mem_alloc", BTF_KIND_STRUCT) < 0)
		preallocate(l);
	s->rodata->ring_for_spans = (uint32_t)(cfg->ring_bytes / 2);
	s->rodata->histogram_keys_soft = keys - keys / 4;
	s->rodata->spans_wanted = cfg->sampler != SAMPLER_ALWAYS_OFF || cfg->record;
	s->rodata->spans_per_slice = cfg->record ? 0 : slice_budget(cfg->spans_per_second);
	s->rodata->exchange_cpu_bits = cpu_bits(s->rodata->exchange_cpu_bits);
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
	held_drop(&l->held);
	sonde_bpf__destroy(l->skel);
	l->skel = NULL;
}

/* With libraries, then without: what a kernel refuses must not take the rest with it. */
static int load(struct loader *l, const struct config *cfg, const struct btf *vmlinux, char *why, size_t why_size)
{
	int r;

	l->libraries = l->libraries_wanted && !denylist_return_probes();
	if (denylist_return_probes())
		snprintf(l->no_libraries, sizeof(l->no_libraries), "%s",
			 "it kills processes with seccomp when a function that returns is probed (CVE-2025-21834)");
	l->uprobe_multi = l->libraries && uprobes_multi();
	r = try_load(l, cfg, vmlinux, why, why_size);
	if (r == 0 || r == -EPERM || r == -EOPNOTSUPP || !l->libraries)
		return r;
	snprintf(l->no_libraries, sizeof(l->no_libraries), "%s: %s", refused_program, strerror(-r));
	unload(l);
	l->libraries = false;
	return try_load(l, cfg, vmlinux, why, why_size);
}

/* The event of a system call that a program hangs on; NULL: none. */
static const char *syscall_event(const struct program *p)
{
	if (strcmp(p->name, "socket_close") == 0)
		return "sys_enter_close";
	return strcmp(p->name, "socket_splice") == 0 ? "sys_exit_splice" : NULL;
}

static struct bpf_link *attach_one(struct loader *l, const struct program *p)
{
	struct bpf_program *prog = find(l, p->name);
	union bpf_iter_link_info info = { 0 };
	LIBBPF_OPTS(bpf_iter_attach_opts, opts, .link_info = &info, .link_info_len = sizeof(info));
	int fd;

	if (syscall_event(p)) {
		struct bpf_link *link;

		fd = tracepoint_open("syscalls", syscall_event(p));
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
	if (r == 0)
		r = held_take(&l->held, l->skel);
	if (r)
		unload(l);
	sonde_bpf__destroy(l->skel);
	l->skel = NULL;
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

const char *loader_no_libraries(const struct loader *l)
{
	return l->libraries ? "" : l->no_libraries;
}

const struct backend *loader_backend(const struct loader *l)
{
	return l->backend;
}

bool loader_has(const struct loader *l, const char *program)
{
	for (size_t i = 0; i < l->links_n; i++)
		if (strcmp(l->linked[i], program) == 0)
			return true;
	for (const struct program *p = library_programs; p->name; p++)
		if (strcmp(p->name, program) == 0)
			return loader_program(l, program) >= 0;
	return strcmp(program, "sweep") == 0 ? l->sweep != NULL : strcmp(program, "sockets") == 0 && l->sockets;
}

bool loader_uprobe_multi(const struct loader *l)
{
	return l->uprobe_multi;
}

int loader_ring_fd(const struct loader *l)
{
	return held_map(&l->held, "events");
}

int loader_histograms_fd(const struct loader *l)
{
	return held_map(&l->held, "histograms");
}

int loader_counters_fd(const struct loader *l)
{
	return held_map(&l->held, "counters");
}

int loader_program(const struct loader *l, const char *program)
{
	return l->libraries ? held_program(&l->held, program) : -1;
}
