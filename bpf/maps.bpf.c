/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Definitions of what maps.bpf.h declares. Linked first: libbpf 1.1 loses the place of a map that is used before it. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "maps.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

const volatile __u32 fragment_limit = 8192;
const volatile __u32 spans_wanted = 1;
const volatile __u32 spans_per_slice = 0;
const volatile __u32 ring_for_spans = 4 << 20;
const volatile __u32 histogram_keys_soft = 3072;
const volatile __u32 recvmsg_parameters = 5;
const volatile __u8 hold_cpu_wanted = 0;
const volatile __u8 exchange_cpu_bits = EXCHANGE_CPU_BITS;
__u32 any_strands = 0;
__u32 any_moves = 0;
__u32 any_loops = 0;
__u32 any_relays = 0;
__u32 any_uring = 0;
__u32 histogram_keys = 0;
__u32 generation = 1;
struct probed_file probed_files[PROBED_FILES_MAX] = {};
__u32 next_service = 1 << 20;

struct events_map events SEC(".maps");
struct conns_map conns SEC(".maps");
struct histograms_map histograms SEC(".maps");
struct counters_map counters SEC(".maps");
struct threads_map threads SEC(".maps");
struct procs_map procs SEC(".maps");
struct strands_map strands SEC(".maps");
struct tokio_tasks_map tokio_tasks SEC(".maps");
struct open_requests_map open_requests SEC(".maps");
struct prepared_map prepared SEC(".maps");
struct texts_map texts SEC(".maps");
struct scratch_map scratch SEC(".maps");
struct stream_records_map stream_records SEC(".maps");
struct libpq_conns_map libpq_conns SEC(".maps");
struct libpq_ops_map libpq_ops SEC(".maps");
struct libpq_cancels_map libpq_cancels SEC(".maps");
struct socket_calls_map socket_calls SEC(".maps");
struct own_map own SEC(".maps");
struct connecting_map connecting SEC(".maps");
struct ssl_calls_map ssl_calls SEC(".maps");
struct ssl_conns_map ssl_conns SEC(".maps");
