/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#ifndef SONDE_CORE_EMIT_BPF_H
#define SONDE_CORE_EMIT_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"

/*
 * Half of the ring is not for spans, whose loss changes no number, nor for what is told again: it is for
 * what user space counts itself (connections that stream) and for what it needs to read later records.
 */
static __always_inline int emit_is_crowded(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > ring_for_spans;
}

/* A record of len bytes to user space, without a wake-up. Less than 0: there is no room. */
static __always_inline long emit_record(void *record, __u32 len, int spares)
{
	if (spares && emit_is_crowded())
		return -1;
	return bpf_ringbuf_output(&events, record, len, BPF_RB_NO_WAKEUP);
}

#endif
