/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what the kernel tells of a MySQL exchange, and as a stream cut anywhere, with gaps. The first byte says
 * which; the rest is as in fuzz_proto.h. A stream may begin with what the kernel hands over.
 */
#include <stdlib.h>

#include "fuzz_proto.h"
#include "proto/mysql.h"

extern const struct proto proto_mysql;

static void on_prepared(void *context, const struct prepared *p)
{
	inside(context, p->name);
	inside(context, p->text);
}

static void exchange(const uint8_t *data, size_t n)
{
	struct event_exchange e = { .proto = PROTO_MYSQL };
	struct exchange_bytes in = { .e = &e };
	struct range range;
	struct operation op;

	cut_exchange(data, n, &e, &in, &range);
	if (proto_mysql.exchange(&in, &op))
		check_operation(&range, &op);
	proto_mysql.prepared(&in, on_prepared, &range);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1)
		return 0;
	if (data[0] % 3 == 1)
		fuzz_stream(&proto_mysql, data + 1, n - 1);
	else if (data[0] % 3 == 2)
		fuzz_handed_over(&proto_mysql, PROTO_MYSQL, 0, data + 1, n - 1);
	else
		exchange(data + 1, n - 1);
	return 0;
}
