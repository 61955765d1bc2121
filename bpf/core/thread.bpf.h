/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef SONDE_CORE_THREAD_BPF_H
#define SONDE_CORE_THREAD_BPF_H

#include "maps.bpf.h"

static struct thread no_thread;

/* What is kept of a thread; made when there is nothing yet and make is set. */
static __always_inline struct thread *thread_of(__u32 tid, int make)
{
	struct thread *t = bpf_map_lookup_elem(&threads, &tid);

	if (t || !make)
		return t;
	bpf_map_update_elem(&threads, &tid, &no_thread, BPF_NOEXIST);
	return bpf_map_lookup_elem(&threads, &tid);
}

#endif
