/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* What changed in the kernel under us, each with the commit that changed it. */
#ifndef SONDE_KERNEL_BPF_H
#define SONDE_KERNEL_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>

/* 6.13, commit 90ee6ed776c0 ("fs: port files to file_ref"): f_count became f_ref, whose 0 stands for one reference. */
struct file___count {
	long f_count;
} __attribute__((preserve_access_index));

typedef struct {
	long refcnt;
} file_ref_t___ref;

struct file___ref {
	file_ref_t___ref f_ref;
} __attribute__((preserve_access_index));

static __always_inline int file_is_last_reference(struct file *file)
{
	struct file___ref *now = (struct file___ref *)file;
	struct file___count *before = (struct file___count *)file;
	long n = 0;

	if (bpf_core_field_exists(now->f_ref)) {
		bpf_probe_read_kernel(&n, sizeof(n), (char *)file + bpf_core_field_offset(now->f_ref));
		return n == 0;
	}
	if (bpf_core_field_exists(before->f_count)) {
		bpf_probe_read_kernel(&n, sizeof(n), (char *)file + bpf_core_field_offset(before->f_count));
		return n == 1;
	}
	return 0;
}

#endif
