/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cage of the process that parses what strangers wrote. From here on it can read descriptors it was handed, open
 * files for reading, start threads, speak over IPv4, IPv6 and Unix sockets that it connects itself, and look into BPF
 * maps: nothing else. A system call that is not on the list ends the process with SIGSYS.
 */
#ifndef SONDE_WORKER_SANDBOX_H
#define SONDE_WORKER_SANDBOX_H

#include <stdbool.h>

/*
 * For all threads, for ever. Drops all capabilities (all but CAP_BPF with keeps_bpf, for old kernels) should there be
 * any left. Not possible afterwards, and not needed by libcurl, name resolution or libbpf's ring buffer: exec, fork,
 * signals to others, opening for writing, listening, loading or attaching BPF programs, memory that is both writable
 * and executable. 0 or negative errno (-ENOSYS: kernel without seccomp filters).
 */
int sandbox_enter(bool keeps_bpf);

#endif
