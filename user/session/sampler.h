/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which traces are kept (OpenTelemetry specification, trace/sdk.md, "Built-in samplers"). The ratio sampler keeps trace
 * ids whose low 64 bits are below round(ratio * 2^64), as the Python SDK does, so that both ends of a call agree.
 */
#ifndef SONDE_SESSION_SAMPLER_H
#define SONDE_SESSION_SAMPLER_H

#include <stdbool.h>

#include "model/span.h"

/* sampler: enum assembly_sampler. has_parent: a parent exists and has decided; parent_sampled is what it decided. */
bool sampler_keeps(int sampler, double ratio, bool has_parent, bool parent_sampled, const struct trace_id *trace);

#endif
