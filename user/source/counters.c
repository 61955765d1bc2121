/* SPDX-License-Identifier: Apache-2.0 */
#include "source/counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <string.h>

#include "util/cleanup.h"

int counters_read(int map_fd, uint64_t ret[KERNEL_COUNTER_COUNT])
{
	_cleanup_free_ uint64_t *cpus = NULL;
	uint64_t sums[KERNEL_COUNTER_COUNT] = { 0 };
	int n = libbpf_num_possible_cpus();

	if (n < 1)
		return n ? n : -EINVAL;
	cpus = calloc((size_t)n, sizeof(*cpus));
	if (!cpus)
		return -ENOMEM;
	for (uint32_t i = 0; i < KERNEL_COUNTER_COUNT; i++) {
		if (bpf_map_lookup_elem(map_fd, &i, cpus))
			return -errno;
		for (int cpu = 0; cpu < n; cpu++)
			sums[i] += cpus[cpu];
	}
	memcpy(ret, sums, sizeof(sums));
	return 0;
}
