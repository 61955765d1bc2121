/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Fixed-width integer names for headers that both the BPF programs and user space include. BPF code gets them from
 * vmlinux.h, which must then be included first.
 */
#ifndef SONDE_TYPES_H
#define SONDE_TYPES_H

#ifdef __bpf__
#define FRAME_INLINE static __always_inline
#else
#include <linux/types.h>
#define FRAME_INLINE static inline
#endif

#endif
