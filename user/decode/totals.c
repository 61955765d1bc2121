/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/totals.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event.h"

void hist_totals_free(struct hist_totals *t)
{
	free(t->slots);
	*t = (struct hist_totals){ 0 };
}

/* Makes slots [first, end) part of the range. */
static int widen(struct hist_totals *t, uint32_t first, uint32_t end)
{
	uint64_t *slots;

	if (t->n) {
		first = first < t->first ? first : t->first;
		end = end > t->first + t->n ? end : t->first + t->n;
	}
	if (first == t->first && end - first == t->n)
		return 0;
	slots = calloc(end - first, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	if (t->n)
		memcpy(slots + (t->first - first), t->slots, t->n * sizeof(*slots));
	free(t->slots);
	t->slots = slots;
	t->first = first;
	t->n = end - first;
	return 0;
}

int hist_totals_add(struct hist_totals *t, const struct hist_value *value)
{
	uint32_t first = 0, end = HIST_SLOTS;

	while (first < end && !value->slots[first])
		first++;
	while (end > first && !value->slots[end - 1])
		end--;
	if (first < end && widen(t, first, end))
		return -ENOMEM;
	for (uint32_t i = first; i < end; i++)
		t->slots[i - t->first] += value->slots[i];
	for (uint32_t i = 0; i < HIST_EXPLICIT_MAX; i++)
		t->explicit_counts[i] += value->explicit_counts[i];
	for (uint32_t i = 0; i < HIST_AMOUNT_MAX; i++)
		t->amounts[i] += value->amounts[i];
	t->amount += value->amount;
	t->count += value->count;
	t->sum += value->sum;
	t->clamped += value->clamped;
	return 0;
}

int hist_totals_merge(struct hist_totals *t, const struct hist_totals *other)
{
	if (other->n && widen(t, other->first, other->first + other->n))
		return -ENOMEM;
	for (uint32_t i = 0; i < other->n; i++)
		t->slots[other->first + i - t->first] += other->slots[i];
	for (uint32_t i = 0; i < HIST_EXPLICIT_MAX; i++)
		t->explicit_counts[i] += other->explicit_counts[i];
	for (uint32_t i = 0; i < HIST_AMOUNT_MAX; i++)
		t->amounts[i] += other->amounts[i];
	t->amount += other->amount;
	t->count += other->count;
	t->sum += other->sum;
	t->clamped += other->clamped;
	return 0;
}

static void count_amount(struct hist_value *v, uint64_t amount)
{
	static const uint64_t upper[HIST_AMOUNT_MAX] = { HIST_AMOUNT_BOUNDS };
	uint32_t i = 0;

	while (upper[i] && amount > upper[i])
		i++;
	v->amount += amount;
	v->amounts[i]++;
}

void hist_value_count(struct hist_value *v, enum hist_bounds bounds, uint64_t ns, uint64_t amount)
{
	static const uint64_t upper[HIST_BOUNDS_COUNT][HIST_EXPLICIT_MAX - 1] = { { HIST_HTTP_BOUNDS },
										  { HIST_DB_BOUNDS } };
	uint32_t i = 0;
	__u32 clamped;

	while (i < HIST_EXPLICIT_MAX - 1 && upper[bounds][i] && ns > upper[bounds][i])
		i++;
	v->count++;
	v->sum += ns;
	v->explicit_counts[i]++;
	v->slots[hist_slot(ns, &clamped)]++;
	v->clamped += clamped;
	if (amount != HIST_NO_AMOUNT)
		count_amount(v, amount);
}

enum hist_bounds hist_bounds_of(uint8_t proto)
{
	return proto == PROTO_HTTP1 ? HIST_HTTP : HIST_DB;
}
