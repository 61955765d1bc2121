/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Anything as what a process says of itself: fields of struct identity_input, separated by 0x1e, each in memory of
 * exactly its size. Whatever it was, there is a resource with a name, an id and what was seen.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "target/identity.h"

#define FIELDS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void must(int fact)
{
	if (!fact)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes rest = bytes_of(data, n), field[FIELDS];
	struct identity_input in = { .pid = 1, .start = 2, .start_unix = 3, .host_id = BYTES_LITERAL("id") };
	struct bytes *const to[FIELDS] = {
		&in.exe, &in.args, &in.env, &in.cgroup, &in.cwd, &in.comm, &in.agent_attributes, &in.service
	};
	struct resource *r;

	for (int i = 0; i < FIELDS; i++) {
		size_t end = bytes_find(rest, 0x1e);
		char *copy = malloc(end ? end : 1);

		must(copy != NULL);
		if (end)
			memcpy(copy, rest.p, end);
		field[i] = bytes_of(copy, end);
		*to[i] = field[i];
		if (rest.n)
			rest = bytes_tail(rest, end + 1);
	}
	r = identity_resource(&in);
	must(r && r->id && resource_service(r).n && identity_service_key(r));
	must(strcmp(r->attrs.v[0].key, "service.name") == 0);
	must(attrs_find(&r->attrs, "process.pid") && attrs_find(&r->attrs, "service.instance.id") &&
	     attrs_find(&r->attrs, "telemetry.sdk.name"));
	resource_unref(r);
	for (int i = 0; i < FIELDS; i++)
		free((char *)field[i].p);
	return 0;
}
