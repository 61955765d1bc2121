/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Shared by the files that drive a frame header over bytes. Adding a protocol: its header, and its turns_NAME.bpf.c. */
#ifndef SONDE_CORE_TURNS_BPF_H
#define SONDE_CORE_TURNS_BPF_H

/*
 * Loops are cut in two functions, blocks and the bytes of a block: the verifier walks the inner one once and not for
 * every block. And what is loaded from memory again is one state to it, where registers would be many: hence the
 * barriers.
 */
#define STEP 16

#endif
