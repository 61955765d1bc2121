/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/finish.h"

#include "session/trace.h"

void finish(struct pipeline *p, uint64_t now, uint32_t flush_ms)
{
	struct metric_set set = { 0 };

	assembly_flush(p->assembly);
	pipeline_read_histograms(p, true, now);
	pipeline_collect(p, now, &set);
	outputs_metrics(&p->outputs, &set);
	outputs_close(&p->outputs, flush_ms);
	metric_set_free(&set);
}
