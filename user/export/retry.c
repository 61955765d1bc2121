/* SPDX-License-Identifier: Apache-2.0 */
#include "export/retry.h"

#define SECOND 1000000000ULL

const struct retry_times retry_times_default = {
	.call_first = SECOND,
	.requeue_first = 5 * SECOND,
	.requeue_max = 30 * SECOND,
	.give_up = 300 * SECOND,
};

uint64_t retry_jitter(struct retry_random *r, uint64_t ns)
{
	/* splitmix64 */
	uint64_t z = (r->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	z ^= z >> 31;
	return ns / 2 + (ns ? z % ns : 0);
}
