/* SPDX-License-Identifier: Apache-2.0 */
#include "session/sampler.h"

#include <math.h>

#include "session/trace.h"

static bool keeps_ratio(double ratio, const struct trace_id *trace)
{
	uint64_t low = 0;

	if (!(ratio > 0))
		return false;
	if (ratio >= 1)
		return true;
	for (int i = 8; i < 16; i++)
		low = low << 8 | trace->b[i];
	ratio = nearbyint(ldexp(ratio, 64));
	return ratio >= 0x1p64 || low < (uint64_t)ratio;
}

bool sampler_keeps(int sampler, double ratio, bool has_parent, bool parent_sampled, const struct trace_id *trace)
{
	switch ((enum assembly_sampler)sampler) {
	case ASSEMBLY_PARENT_ALWAYS_ON:
		return has_parent ? parent_sampled : true;
	case ASSEMBLY_PARENT_ALWAYS_OFF:
		return has_parent && parent_sampled;
	case ASSEMBLY_PARENT_RATIO:
		return has_parent ? parent_sampled : keeps_ratio(ratio, trace);
	case ASSEMBLY_ALWAYS_ON:
		return true;
	case ASSEMBLY_ALWAYS_OFF:
		return false;
	case ASSEMBLY_RATIO:
		return keeps_ratio(ratio, trace);
	}
	return true;
}
