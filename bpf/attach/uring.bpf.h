/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* Where the bytes lie that io_uring moves: its calls have no registers that say it. */
#ifndef SONDE_ATTACH_URING_BPF_H
#define SONDE_ATTACH_URING_BPF_H

#include "core/core.bpf.h"

/* Fills source, buffer and iovecs. False: no request of io_uring moved it. For the task whose call it is. */
int uring_buffer(struct io *io);

#endif
