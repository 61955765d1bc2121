/* SPDX-License-Identifier: Apache-2.0 */
/* Giving up what is no longer needed. Both are one way: nothing can be taken back. */
#ifndef SONDE_KEEPER_PRIVILEGES_H
#define SONDE_KEEPER_PRIVILEGES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The keeper, once the BPF objects are loaded and perf events are open. Of the capabilities it was started with it
 * keeps
 * - CAP_BPF, CAP_PERFMON: maps, iterators; probes on libraries that appear later
 * - CAP_SYS_PTRACE: /proc/PID/{exe,environ,maps,map_files,root} of other users
 * - CAP_DAC_READ_SEARCH: executables, libraries and folders of /proc that only their owner may read
 * - CAP_CHECKPOINT_RESTORE: following /proc/PID/map_files (Linux 5.9; without it, by path)
 * - CAP_SETUID, CAP_SETGID, CAP_SETPCAP: making the next worker powerless
 * - CAP_KILL: ending a worker that does not end by itself
 * - CAP_SYS_ADMIN: only with perf_uprobes, and only where the kernel refuses them without it
 * The bounding set becomes the same, core dumps are off, and no exec can bring anything back.
 *
 * perf_uprobes: probes go through perf events, one by one. uprobe_multi (Linux 6.6) is content with CAP_BPF and
 * CAP_PERFMON; perf events are not on some kernels (seen on 6.18). 0 or negative errno.
 */
int privileges_drop_keeper(bool perf_uprobes);

/*
 * The worker, right after fork: closes all descriptors but keep[0..n) (negative ones are skipped), becomes nobody
 * without groups, and drops all capabilities, also from the bounding set. keeps_bpf: all but CAP_BPF, for kernels
 * before 5.19 that refuse map descriptors without it. No new privileges by exec, not traceable, no core dumps, few
 * descriptors. When started without root it only drops what it has. 0 or negative errno; then the process must end.
 */
int privileges_drop_worker(const int *keep, size_t n, bool keeps_bpf);

#endif
