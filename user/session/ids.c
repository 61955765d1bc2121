/* SPDX-License-Identifier: Apache-2.0 */
#include "session/ids.h"

#include <string.h>
#include <sys/random.h>

#include "util/clock.h"
#include "util/hashmap.h"

void ids_init(struct ids *s)
{
	memset(s, 0, sizeof(*s));
	if (getrandom(s, sizeof(s->key) + sizeof(s->state), 0) == (ssize_t)(sizeof(s->key) + sizeof(s->state)))
		return;
	s->key = clock_realtime(); /* a kernel without entropy at boot: ids must still differ */
	for (int i = 0; i < 4; i++) {
		uint64_t v = s->key + (uint64_t)i;

		s->state[i] = hash_bytes(clock_monotonic(), &v, sizeof(v));
	}
}

/* xoshiro256** 1.0 (Blackman, Vigna). */
static uint64_t next(struct ids *s)
{
	uint64_t *x = s->state, m = x[1] * 5, result = (m << 7 | m >> 57) * 9, t = x[1] << 17;

	x[2] ^= x[0];
	x[3] ^= x[1];
	x[1] ^= x[2];
	x[0] ^= x[3];
	x[2] ^= t;
	x[3] = x[3] << 45 | x[3] >> 19;
	return result;
}

static struct span_id from_number(uint64_t v)
{
	struct span_id id;

	v += v == 0;
	memcpy(id.b, &v, sizeof(v));
	return id;
}

struct span_id ids_span(const struct ids *s, uint64_t exchange)
{
	return from_number(hash_bytes(s->key, &exchange, sizeof(exchange)));
}

struct span_id ids_fresh_span(struct ids *s)
{
	uint64_t v[2] = { ++s->counter, 1 };

	return from_number(hash_bytes(s->key, v, sizeof(v)));
}

struct trace_id ids_trace(struct ids *s)
{
	uint64_t v[2];
	struct trace_id id;

	do {
		v[0] = next(s);
		v[1] = next(s);
	} while (!v[0] && !v[1]);
	memcpy(id.b, v, sizeof(v));
	return id;
}
