/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and statements of tests that ask what is below what. Times are after the first second. */
#ifndef SONDE_TEST_PARENTS_FIXTURE_H
#define SONDE_TEST_PARENTS_FIXTURE_H

#include "assembly_fixture.h"

#define MS 1000000ULL
#define GET "GET / HTTP/1.1\r\nHost: h\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n\r\n"

static void http(uint64_t id, uint64_t parent, uint8_t role, uint64_t conn, uint64_t start, uint64_t end)
{
	exchange((struct exchange){ .id = id,
				    .parent = parent,
				    .role = role,
				    .conn = conn,
				    .method = HTTP_GET,
				    .start = SECOND + start,
				    .end = SECOND + end,
				    .request = GET,
				    .answer = OK });
}

static void sql(uint64_t id, uint64_t parent, uint64_t start)
{
	exchange((struct exchange){ .id = id,
				    .parent = parent,
				    .role = ROLE_CLIENT,
				    .proto = PROTO_POSTGRES,
				    .method = PG_QUERY,
				    .start = SECOND + start,
				    .end = SECOND + start + MS,
				    .raw_request = bytes_of("Q\0\0\0\x0dselect 1", 14) });
}

#endif
