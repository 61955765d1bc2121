/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/uprobes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keeper/perf_event.h"
#include "util/cleanup.h"

#define FILES_MAX PROBED_FILES_MAX
#define COPY_CALLS_MAX 20000 /* a second; each costs the program microseconds */
#define FUNCTION_NUMBER_MAX 255

/* Which functions, by their numbers: those of libpq_functions.def, openssl_functions.def, uvloop_functions.def,
 * node_functions.def, tokio_functions.def. */
enum { LIBPQ_NUMBERS, OPENSSL_NUMBERS, UVLOOP_NUMBERS, NODE_NUMBERS, TOKIO_NUMBERS };
#define OPENSSL_NUMBER_MIN 128
#define UVLOOP_NUMBER_MIN 192
#define NODE_NUMBER_MIN 200
#define TOKIO_NUMBER_MIN 208

/* Two links where the kernel has uprobe_multi (6.6), entry and return, else one a point. */
struct probes {
	int multi[2];
	int single[MESSAGE_POINTS_MAX];
	size_t single_n;
};

enum probe_set {
	SET_CALLS,
	SET_COPIES, /* functions that move COPY data, which may be called too often to be probed */
	SETS
};

struct probed {
	uint32_t handle; /* 0 = free */
	unsigned users;	 /* attaches of the same file: a second set of probes would see every call twice */
	dev_t dev;
	ino_t ino;
	int numbers; /* a static program may have those of OpenSSL and of libpq */
	struct probes sets[SETS];
	uint64_t copies; /* at the last tick */
};

struct uprobes {
	struct loader *loader;
	struct probed files[FILES_MAX];
	uint32_t next;
};

/*
 * The part of union bpf_attr that BPF_LINK_CREATE reads for BPF_TRACE_UPROBE_MULTI (include/uapi/linux/bpf.h,
 * kernel 6.6): the headers of Debian 12 do not have it yet.
 */
struct link_create_uprobe_multi {
	uint32_t prog_fd, target_fd, attach_type, link_flags;
	uint64_t path, offsets, ref_ctr_offsets, cookies;
	uint32_t cnt, flags, pid, pad;
};

#define ATTACH_UPROBE_MULTI 48
#define MULTI_RETURN 1

static int multi_link(int program, const char *path, const uint64_t *offsets, const uint64_t *cookies, uint32_t n,
		      bool is_return)
{
	struct link_create_uprobe_multi a = {
		.prog_fd = (uint32_t)program,
		.attach_type = ATTACH_UPROBE_MULTI,
		.path = (uint64_t)(uintptr_t)path,
		.offsets = (uint64_t)(uintptr_t)offsets,
		.cookies = (uint64_t)(uintptr_t)cookies,
		.cnt = n,
		.flags = is_return ? MULTI_RETURN : 0,
	};
	int fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &a, sizeof(a));

	return fd < 0 ? -errno : fd;
}

/*
 * Asks for a link to a folder, by a program that does nothing: a kernel that knows such links says that it is no file
 * (EBADF), another that it does not know what is meant.
 */
bool uprobes_multi(void)
{
	static const struct bpf_insn nothing[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .expected_attach_type = (enum bpf_attach_type)ATTACH_UPROBE_MULTI);
	_cleanup_close_ int fd = bpf_prog_load(BPF_PROG_TYPE_KPROBE, NULL, "GPL", nothing, 2, &opts);
	uint64_t zero = 0;

	return fd >= 0 && multi_link(fd, "/", &zero, &zero, 1, false) == -EBADF;
}

static void detach(struct probes *p)
{
	for (int i = 0; i < 2; i++) {
		if (p->multi[i] >= 0)
			close(p->multi[i]);
		p->multi[i] = -1;
	}
	for (size_t i = 0; i < p->single_n; i++)
		close(p->single[i]);
	p->single_n = 0;
}

static void clear(struct probed *f)
{
	memset(f, 0, sizeof(*f));
	for (int i = 0; i < SETS; i++)
		f->sets[i].multi[0] = f->sets[i].multi[1] = -1;
}

static struct probed_file *shared(const struct uprobes *u, const struct probed *f)
{
	return &loader_probed(u->loader)[f - u->files];
}

static void release(struct uprobes *u, struct probed *f)
{
	if (f->handle)
		shared(u, f)->whole = 0;
	for (int i = 0; i < SETS; i++)
		detach(&f->sets[i]);
	clear(f);
}

struct uprobes *uprobes_new(struct loader *l)
{
	struct uprobes *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->loader = l;
	for (size_t i = 0; i < FILES_MAX; i++)
		clear(&u->files[i]);
	return u;
}

void uprobes_free(struct uprobes *u)
{
	if (!u)
		return;
	for (size_t i = 0; i < FILES_MAX; i++)
		release(u, &u->files[i]);
	free(u);
}

static int numbers_of(const struct message_point *p)
{
	if (p->function >= TOKIO_NUMBER_MIN)
		return TOKIO_NUMBERS;
	if (p->function >= NODE_NUMBER_MIN)
		return NODE_NUMBERS;
	if (p->function >= UVLOOP_NUMBER_MIN)
		return UVLOOP_NUMBERS;
	return p->function >= OPENSSL_NUMBER_MIN ? OPENSSL_NUMBERS : LIBPQ_NUMBERS;
}

static int program_of(const struct uprobes *u, const struct message_point *p)
{
	static const char *const names[][2] = { [LIBPQ_NUMBERS] = { "libpq_entry", "libpq_return" },
						[OPENSSL_NUMBERS] = { "openssl_entry", "openssl_return" },
						[UVLOOP_NUMBERS] = { "uvloop_entry", "uvloop_entry" },
						[NODE_NUMBERS] = { "node_entry", "node_entry" },
						[TOKIO_NUMBERS] = { "tokio_entry", "tokio_entry" } };

	return loader_program(u->loader, names[numbers_of(p)][!!(p->flags & POINT_RETURN)]);
}

static bool is_copy(const struct message_point *p)
{
	return p->function == LIBPQ_PUT_COPY_DATA || p->function == LIBPQ_GET_COPY_DATA;
}

struct point_list {
	uint64_t offsets[MESSAGE_POINTS_MAX], cookies[MESSAGE_POINTS_MAX];
	uint32_t n;
};

/*
 * One link for all; without those that cannot be probed, when there are some: the others need not do without it. An
 * instruction is only looked at while a process maps it, so each may pass that did not just now.
 */
static int link_all(int program, const char *path, struct point_list *l, bool is_return)
{
	int fd = multi_link(program, path, l->offsets, l->cookies, l->n, is_return);
	uint32_t good = 0;

	if (fd >= 0)
		return fd;
	for (uint32_t i = 0; i < l->n; i++) {
		int one = multi_link(program, path, &l->offsets[i], &l->cookies[i], 1, is_return);

		if (one < 0)
			continue;
		close(one);
		l->offsets[good] = l->offsets[i];
		l->cookies[good++] = l->cookies[i];
	}
	return good ? multi_link(program, path, l->offsets, l->cookies, good, is_return) : fd;
}

static int attach_multi(struct uprobes *u, struct probes *to, const char *path, const struct message_point *points,
			size_t n, bool copies, uint64_t file)
{
	for (int ret = 0; ret < 2; ret++) {
		int prog = -1;
		struct point_list l = { .n = 0 };

		for (size_t i = 0; i < n; i++) {
			if (!!(points[i].flags & POINT_RETURN) != ret || is_copy(&points[i]) != copies)
				continue;
			prog = program_of(u, &points[i]); /* the same for all of them */
			l.offsets[l.n] = points[i].offset;
			l.cookies[l.n++] = points[i].function | file << 32;
		}
		if (!l.n)
			continue;
		if (prog < 0)
			return -EOPNOTSUPP;
		to->multi[ret] = link_all(prog, path, &l, ret);
		if (to->multi[ret] < 0)
			return to->multi[ret];
	}
	return 0;
}

/* A descriptor, which keeps the probe, or negative errno. */
static int single_link(int program, const char *path, const struct message_point *point, uint64_t file)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .perf_event.bpf_cookie = point->function | file << 32);
	_cleanup_close_ int event = uprobe_open(path, point->offset, point->flags & POINT_RETURN);
	int link;

	if (event < 0)
		return event;
	link = bpf_link_create(program, event, BPF_PERF_EVENT, &opts);
	if (link < 0)
		return -errno;
	if (ioctl(event, PERF_EVENT_IOC_ENABLE, 0)) {
		int r = -errno;

		close(link);
		return r;
	}
	return link;
}

static int attach_single(struct uprobes *u, struct probes *to, const char *path, const struct message_point *points,
			 size_t n, bool copies, uint64_t file)
{
	int r = 0;

	for (size_t i = 0; i < n; i++) {
		int prog = program_of(u, &points[i]), link;

		if (is_copy(&points[i]) != copies)
			continue;
		if (prog < 0)
			return -EOPNOTSUPP;
		link = single_link(prog, path, &points[i], file);
		if (link >= 0)
			to->single[to->single_n++] = link;
		else
			r = link; /* the others need not do without it */
	}
	return to->single_n ? 0 : r;
}

static int attach_set(struct uprobes *u, struct probed *f, enum probe_set set, const char *path,
		      const struct message_point *points, size_t n)
{
	bool copies = set == SET_COPIES;
	uint64_t file = (uint64_t)(f - u->files);

	return loader_uprobe_multi(u->loader) ? attach_multi(u, &f->sets[set], path, points, n, copies, file)
					      : attach_single(u, &f->sets[set], path, points, n, copies, file);
}

static int check(int fd, const struct message_point *points, size_t n, struct stat *ret_st)
{
	if (n == 0 || n > MESSAGE_POINTS_MAX)
		return -EINVAL;
	if (fstat(fd, ret_st) || !S_ISREG(ret_st->st_mode))
		return -EINVAL;
	for (size_t i = 0; i < n; i++)
		if (points[i].offset == 0 || points[i].offset >= (uint64_t)ret_st->st_size || points[i].function == 0 ||
		    points[i].function > FUNCTION_NUMBER_MAX || numbers_of(&points[i]) != numbers_of(points) ||
		    points[i].flags & ~(uint32_t)POINT_RETURN)
			return -EINVAL;
	return 0;
}

/*
 * A probe goes into the page cache's copy of the instruction; reading it first spares kernels that do not bring in a
 * page that is not there.
 */
static void read_pages(int fd, const struct message_point *points, size_t n)
{
	char byte;

	for (size_t i = 0; i < n; i++)
		if (pread(fd, &byte, 1, (off_t)points[i].offset) != 1)
			return;
}

int uprobes_attach(struct uprobes *u, int fd, const struct message_point *points, size_t n, uint32_t *ret_handle)
{
	struct probed *f = NULL;
	struct stat st;
	char path[64];
	int r = check(fd, points, n, &st);

	if (r < 0)
		return r;
	for (size_t i = 0; i < FILES_MAX; i++) {
		struct probed *p = &u->files[i];

		if (p->handle && p->dev == st.st_dev && p->ino == st.st_ino && p->numbers == numbers_of(points)) {
			p->users++;
			*ret_handle = p->handle;
			return 0;
		}
		if (!p->handle && !f)
			f = p;
	}
	if (!f)
		return -ENOSPC;
	read_pages(fd, points, n);
	shared(u, f)->copies_unseen = 0;
	f->copies = shared(u, f)->copies;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	r = attach_set(u, f, SET_CALLS, path, points, n);
	if (r == 0 && attach_set(u, f, SET_COPIES, path, points, n) < 0)
		detach(&f->sets[SET_COPIES]);
	if (r < 0) {
		release(u, f);
		return r;
	}
	f->handle = ++u->next;
	f->users = 1;
	f->dev = st.st_dev;
	f->ino = st.st_ino;
	f->numbers = numbers_of(points);
	shared(u, f)->whole = 1;
	*ret_handle = f->handle;
	return 0;
}

int uprobes_detach(struct uprobes *u, uint32_t handle)
{
	for (size_t i = 0; handle && i < FILES_MAX; i++) {
		if (u->files[i].handle != handle)
			continue;
		if (--u->files[i].users == 0)
			release(u, &u->files[i]);
		return 0;
	}
	return -ENOENT;
}

void uprobes_tick(struct uprobes *u)
{
	for (size_t i = 0; i < FILES_MAX; i++) {
		struct probed *f = &u->files[i];
		uint64_t before = f->copies;

		f->copies = shared(u, f)->copies;
		if (!f->handle || shared(u, f)->copies_unseen || f->copies - before < COPY_CALLS_MAX)
			continue;
		shared(u, f)->copies_unseen = 1;
		detach(&f->sets[SET_COPIES]);
	}
}
