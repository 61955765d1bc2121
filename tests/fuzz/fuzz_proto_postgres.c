/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what a PostgreSQL client and server say, in turns and as a stream cut anywhere, with gaps. The first
 * byte says which; the rest is pieces of a control byte, a length and so many bytes.
 */
#include <stdlib.h>

#include "fuzz_proto.h"

extern const struct proto proto_postgres;

static void on_prepared(void *context, const struct prepared *p)
{
	inside(context, p->name);
	inside(context, p->text);
}

static void exchange(const uint8_t *data, size_t n)
{
	struct event_exchange e = { .proto = PROTO_POSTGRES };
	struct exchange_bytes in = { .e = &e };
	struct range range;
	struct operation op;

	cut_exchange(data, n, &e, &in, &range);
	if (proto_postgres.exchange(&in, &op))
		check_operation(&range, &op);
	proto_postgres.prepared(&in, on_prepared, &range);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1)
		return 0;
	if (data[0] & 1)
		fuzz_stream(&proto_postgres, data + 1, n - 1);
	else
		exchange(data + 1, n - 1);
	return 0;
}
