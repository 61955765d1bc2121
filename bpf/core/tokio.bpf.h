/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef SONDE_CORE_TOKIO_BPF_H
#define SONDE_CORE_TOKIO_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/thread.bpf.h"

#define TOKIO_TASKS (1ULL << 40) /* they are numbered from 1 on; no address, no random number is as small */

/* struct conn.strand of a client: the task that asked last, or connected; and: */
#define CONN_TASK (TOKIO_TASKS - 1)
#define CONN_ASKED (1ULL << 41)	 /* it has asked */
#define CONN_SHARED (1ULL << 42) /* several tasks have: they ask for themselves, on connections of a pool */
#define CONN_GIVEN (1ULL << 43)	 /* what it asked last is for who woke it */
#define CONN_HELPER (1ULL << 44) /* it reads no requests */

/* The number of the task that the current thread runs, 0 = none. */
static __always_inline __u64 tokio_task(__u64 at)
{
	__u64 number;

	if (bpf_probe_read_user(&number, sizeof(number), (void *)(thread_pointer() + at)))
		return 0;
	return number < TOKIO_TASKS ? number : 0;
}

#endif
