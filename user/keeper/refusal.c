/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/refusal.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "util/cleanup.h"

void lockdown_mode(char *ret, size_t size)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/kernel/security/lockdown", "re");
	char line[128] = "", *from, *to;

	snprintf(ret, size, "none");
	if (!f || !fgets(line, sizeof(line), f))
		return;
	from = strchr(line, '[');
	to = from ? strchr(from, ']') : NULL;
	if (to)
		snprintf(ret, size, "%.*s", (int)(to - from - 1), from + 1);
}

static bool locked_down(void)
{
	char mode[32];

	lockdown_mode(mode, sizeof(mode));
	return strcmp(mode, "confidentiality") == 0;
}

static bool has_btf(void)
{
	return access("/sys/kernel/btf/vmlinux", R_OK) == 0;
}

/* Is it all of BPF that is refused, or one kind of program? A map that needs CAP_BPF tells. */
static bool takes_bpf(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_LRU_HASH, NULL, sizeof(uint32_t), sizeof(uint32_t), 1, NULL);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/*
 * 5.15 brought bpf_task_pt_regs (commit dd6e10fbd9fb) and cookies of probes (7adfc6c9b315); 5.12, which cannot be asked
 * for by itself, atomic operations with a result (5ca419f2864a) and pointers given to global functions (e5069b9c23b3).
 * Before, the kernel calls all of them an invalid argument.
 */
static bool too_old(void)
{
	return libbpf_probe_bpf_helper(BPF_PROG_TYPE_KPROBE, BPF_FUNC_task_pt_regs, NULL) == 0;
}

const char *refusal_advice(int r)
{
	if (locked_down())
		return "boot with lockdown=integrity, or see docs/kernels.md#lockdown";
	if (!has_btf())
		return "use a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' own are since 2021; see "
		       "docs/kernels.md#no-btf";
	if (r == -EPERM && takes_bpf())
		return NULL;
	if (r == -EPERM && geteuid() != 0)
		return "run it as root";
	if (r == -EPERM)
		return "run it outside of the container, or allow it bpf() and CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE; "
		       "see "
		       "docs/kernels.md#bpf-refused";
	if (too_old())
		return "use a kernel of 5.15 or newer; see docs/kernels.md#older-kernels";
	return NULL;
}

void refusal_reason(int r, char *ret, size_t size)
{
	if (locked_down())
		snprintf(ret, size, "kernel lockdown is 'confidentiality', which forbids BPF to read memory");
	else if (!has_btf())
		snprintf(ret, size, "the kernel has no type information (BTF, /sys/kernel/btf/vmlinux)");
	else if (r == -EPERM && !takes_bpf())
		snprintf(ret, size, "bpf() is refused to this process");
	else if (too_old())
		snprintf(ret, size, "the kernel's BPF is too old: Sonde needs that of 5.15");
	else
		snprintf(ret, size, "the kernel refused to load it: %s", strerror(-r));
}
