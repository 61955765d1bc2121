/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/finish.h"

#include <stdio.h>
#include <unistd.h>

#include "export/summary.h"
#include "session/trace.h"
#include "util/clock.h"

static void print_summary(struct pipeline *p, const struct metric_set *set)
{
	const struct export_config *cfg = &p->outputs.spans;
	uint64_t user[USER_COUNTER_COUNT];
	struct summary_facts facts = {
		.json = cfg->json,
		.utf8 = cfg->utf8,
		.sends = cfg->traces.endpoint != NULL,
		.start = p->started + (uint64_t)p->realtime_offset,
		.end = set->time,
		.kernel = p->kernel,
		.user = user,
		.cpu_seconds = self_cpu(p->self),
		.rss_bytes = self_memory(p->self),
	};
	int fd = dup(cfg->console_fd);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");

	for (int i = 0; i < USER_COUNTER_COUNT; i++)
		user[i] = ledger_get(p->ledger, i);
	if (to) {
		summary_print(to, set, &facts);
		fclose(to);
	} else if (fd >= 0) {
		close(fd);
	}
}

/*
 * After a crash the books may be short of what the dead worker had in hand but not yet counted. Now that everything
 * else is accounted for, what is missing is just that.
 */
static void settle_crash(const struct pipeline *p)
{
	static const enum user_counter ends[] = { USER_queue_full,	   USER_export_refused, USER_export_failed,
						  USER_undecodable,	   USER_not_sampled,	USER_not_selected,
						  USER_stream_over_budget, USER_worker_crash,	USER_shutdown,
						  USER_not_a_statement };
	struct ledger *l = p->ledger;
	uint64_t seen = p->kernel[KERNEL_spans_seen] + ledger_get(l, USER_spans_streamed);
	uint64_t told = p->kernel[KERNEL_ring_full] + p->kernel[KERNEL_over_budget] + p->kernel[KERNEL_not_wanted] +
			ledger_get(l, p->outputs.spans.traces.endpoint ? USER_spans_exported : USER_spans_printed);

	if (!ledger_get(l, USER_worker_restarts) || (!p->outputs.spans.traces.endpoint && !p->outputs.spans.json))
		return;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		told += ledger_get(l, ends[i]);
	if (seen > told)
		ledger_add(l, USER_worker_crash, seen - told);
}

void finish(struct pipeline *p, uint64_t now, uint32_t flush_ms)
{
	uint64_t began = clock_monotonic();
	struct metric_set set = { 0 };
	uint32_t spent;

	assembly_flush(p->assembly);
	/* the last reading comes after the last span, so that what it says of them is final */
	outputs_close_spans(&p->outputs, flush_ms - flush_ms / 4);
	pipeline_read_histograms(p, true, now);
	settle_crash(p);
	pipeline_collect(p, now, &set);
	outputs_metrics(&p->outputs, &set);
	spent = (uint32_t)((clock_monotonic() - began) / 1000000);
	outputs_close(&p->outputs, spent < flush_ms ? flush_ms - spent : 0);
	print_summary(p, &set);
	metric_set_free(&set);
}
