/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as what an HTTP/1 client and server say: see fuzz_proto_postgres.c for the form. */
#include <stdlib.h>

#include "fuzz_proto.h"
#include "proto/http1.h"

extern const struct proto proto_http1;

static void exchange(const uint8_t *data, size_t n)
{
	struct event_exchange e = { .proto = PROTO_HTTP1 };
	struct exchange_bytes in = { .e = &e };
	struct range range;
	struct operation op;

	cut_exchange(data, n, &e, &in, &range);
	if (!proto_http1.exchange(&in, &op))
		return;
	check_operation(&range, &op);
	if (op.http_status && (op.http_status < 100 || op.http_status > 599))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n < 1)
		return 0;
	if (data[0] == 2)
		fuzz_handed_over(&proto_http1, PROTO_HTTP1, sizeof(struct http1_carry), data + 1, n - 1);
	else if (data[0] & 1)
		fuzz_stream(&proto_http1, data + 1, n - 1);
	else
		exchange(data + 1, n - 1);
	return 0;
}
