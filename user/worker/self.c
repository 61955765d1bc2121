/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/self.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

enum { STATM_OWN, STATM_KEEPER, STAT_KEEPER, FILES };

struct self {
	struct resource *resource;
	uint64_t start;
	int fds[FILES];
};

static int open_proc(int pid, const char *file)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	return open(path, O_RDONLY | O_CLOEXEC);
}

struct self *self_new(const char *name, const struct program_host *host, uint64_t start)
{
	struct self *s = calloc(1, sizeof(*s));
	struct program *program = program_new(0);
	char exe[512];
	ssize_t n;

	if (!s || !program) {
		free(s);
		program_unref(program);
		return NULL;
	}
	s->start = start;
	s->fds[STATM_OWN] = open_proc(getpid(), "statm");
	s->fds[STATM_KEEPER] = open_proc(getppid(), "statm");
	s->fds[STAT_KEEPER] = open_proc(getppid(), "stat");
	n = readlink("/proc/self/exe", exe, sizeof(exe));
	buf_add(&program->exe, n > 0 ? bytes_of(exe, (size_t)n) : bytes_str("sonde"));
	/* the keeper's: a worker that takes over goes on with the same series */
	s->resource = program_resource(program, host, name ? name : "sonde", (uint32_t)getppid(), 0);
	program_unref(program);
	if (s->resource)
		return s;
	self_free(s);
	return NULL;
}

void self_free(struct self *s)
{
	if (!s)
		return;
	for (int i = 0; i < FILES; i++)
		if (s->fds[i] >= 0)
			close(s->fds[i]);
	resource_unref(s->resource);
	free(s);
}

static bool read_text(int fd, char *text, size_t size)
{
	ssize_t n = fd < 0 ? -1 : pread(fd, text, size - 1, 0);

	if (n <= 0)
		return false;
	text[n] = '\0';
	return true;
}

double self_cpu(const struct self *s)
{
	unsigned long long user, system;
	struct rusage usage;
	double seconds = 0;
	char text[1024];
	const char *p;

	if (getrusage(RUSAGE_SELF, &usage) == 0)
		seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
			  (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	/* proc(5): the name in parentheses may hold anything; 11 fields behind it are utime and stime */
	p = read_text(s->fds[STAT_KEEPER], text, sizeof(text)) ? strrchr(text, ')') : NULL;
	if (p && sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user, &system) == 2)
		seconds += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
	return seconds;
}

uint64_t self_memory(const struct self *s)
{
	uint64_t pages = 0;

	for (int i = STATM_OWN; i <= STATM_KEEPER; i++) {
		unsigned long long resident;
		char text[256];

		if (read_text(s->fds[i], text, sizeof(text)) && sscanf(text, "%*u %llu", &resident) == 1)
			pages += resident;
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

bool self_kernel_drops_span(enum kernel_counter c)
{
	return c == KERNEL_ring_full || c == KERNEL_over_budget || c == KERNEL_not_wanted;
}

bool self_user_drops_span(enum user_counter c)
{
	switch (c) {
	case USER_queue_full:
	case USER_export_refused:
	case USER_export_failed:
	case USER_undecodable:
	case USER_not_sampled:
	case USER_not_selected:
	case USER_stream_over_budget:
	case USER_worker_crash:
	case USER_shutdown:
	case USER_not_a_statement:
		return true;
	default:
		return false;
	}
}

uint64_t self_spans_seen(const uint64_t *kernel, const struct ledger *ledger)
{
	return kernel[KERNEL_spans_seen] + ledger_get(ledger, USER_spans_streamed);
}

static struct metric_point *add(struct self *s, struct metric_set *set, enum metric_id metric, const char *reason)
{
	struct metric_point *p = metric_set_add(set, metric, s->resource);

	if (!p)
		return NULL;
	p->start = s->start;
	if (reason)
		attrs_str(&p->attrs, ATTR_REASON, bytes_str(reason), 0);
	return p;
}

static void add_counter(struct self *s, struct metric_set *set, enum metric_id metric, const char *reason, uint64_t n)
{
	struct metric_point *p = add(s, set, metric, reason);

	if (p)
		p->counter = n;
}

void self_collect(struct self *s, const uint64_t *kernel, const struct ledger *ledger, struct metric_set *ret)
{
	struct metric_point *p;

	add_counter(s, ret, METRIC_SONDE_SPANS_SEEN, NULL, self_spans_seen(kernel, ledger));
	add_counter(s, ret, METRIC_SONDE_SPANS_EXPORTED, NULL, ledger_get(ledger, USER_spans_exported));
	for (int i = 0; i < KERNEL_COUNTER_COUNT; i++)
		if (i != KERNEL_spans_seen)
			add_counter(s, ret,
				    self_kernel_drops_span(i) ? METRIC_SONDE_SPANS_DROPPED : METRIC_SONDE_EVENTS,
				    kernel_counters[i].name, kernel[i]);
	for (int i = 0; i < USER_COUNTER_COUNT; i++)
		if (i != USER_spans_streamed && i != USER_spans_exported)
			add_counter(s, ret, self_user_drops_span(i) ? METRIC_SONDE_SPANS_DROPPED : METRIC_SONDE_EVENTS,
				    user_counters[i].name, ledger_get(ledger, i));
	p = add(s, ret, METRIC_SONDE_CPU_TIME, NULL);
	if (p)
		p->gauge = self_cpu(s);
	p = add(s, ret, METRIC_SONDE_MEMORY_USAGE, NULL);
	if (p)
		p->gauge = (double)self_memory(s);
}
