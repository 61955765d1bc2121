/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD=bpf_stats.so BPF_STATS=FILE sonde check: what the verifier says of every program that is loaded, one
 * "name TAB instructions TAB states TAB microseconds" a line. It asks for BPF_LOG_STATS where the program asked for no
 * log, so it sees exactly what the loader makes of this kernel. (libbpf calls bpf() through the C library's syscall().)
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#define LOG_STATS 4 /* BPF_LOG_STATS, which is no part of the uapi headers; Linux 5.2, 06ee7115b0d1 */

typedef long syscall_fn(long, ...);

static uint64_t now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void report(const char *name, const char *log, uint64_t us)
{
	const char *path = getenv("BPF_STATS"), *line = strstr(log, "processed "), *states;
	unsigned instructions, total;
	FILE *to;

	states = line ? strstr(line, "total_states ") : NULL;
	if (!path || !states || sscanf(line, "processed %u", &instructions) != 1 ||
	    sscanf(states, "total_states %u", &total) != 1)
		return;
	to = fopen(path, "a");
	if (!to)
		return;
	fprintf(to, "%s\t%u\t%u\t%llu\n", name, instructions, total, (unsigned long long)us);
	fclose(to);
}

/* Why a program was refused: with BPF_REFUSALS=1, the end of what the verifier says, on standard error. */
static void explain(const char *name, union bpf_attr *attr, unsigned long size, syscall_fn *next)
{
	static char log[16 << 20];
	size_t n;
	int error = errno;

	if (getenv("BPF_REFUSALS")) {
		attr->log_level = 1;
		attr->log_buf = (uint64_t)(uintptr_t)log;
		attr->log_size = sizeof(log);
		next(SYS_bpf, BPF_PROG_LOAD, attr, size);
		n = strlen(log);
		fprintf(stderr, "%s: %s: ...%s\n", name, strerror(error), log + (n > 1500 ? n - 1500 : 0));
	}
	errno = error;
}

static long load(syscall_fn *next, const union bpf_attr *asked, unsigned long size)
{
	static char log[1 << 20];
	union bpf_attr attr;
	uint64_t start;
	long fd;

	memset(&attr, 0, sizeof(attr));
	memcpy(&attr, asked, size < sizeof(attr) ? size : sizeof(attr));
	log[0] = '\0';
	attr.log_level = LOG_STATS;
	attr.log_buf = (uint64_t)(uintptr_t)log;
	attr.log_size = sizeof(log);
	start = now_us();
	fd = next(SYS_bpf, BPF_PROG_LOAD, &attr, size);
	if (fd >= 0)
		report(attr.prog_name, log, now_us() - start);
	else
		explain(attr.prog_name, &attr, size, next);
	return fd;
}

long syscall(long number, ...)
{
	syscall_fn *next = (syscall_fn *)dlsym(RTLD_NEXT, "syscall");
	long a[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_bpf && a[0] == BPF_PROG_LOAD) {
		const union bpf_attr *attr = (const union bpf_attr *)a[1];

		if (attr->log_level == 0 && attr->prog_name[0] && strncmp(attr->prog_name, "libbpf_", 7) != 0)
			return load(next, attr, (unsigned long)a[2]);
	}
	return next(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
