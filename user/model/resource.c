/* SPDX-License-Identifier: Apache-2.0 */
#include "model/resource.h"

#include <stdlib.h>

struct resource *resource_new(void)
{
	struct resource *r = calloc(1, sizeof(*r));

	if (r)
		r->refs = 1;
	return r;
}

struct resource *resource_ref(struct resource *r)
{
	if (r)
		__atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void resource_unref(struct resource *r)
{
	if (!r || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	attrs_free(&r->attrs);
	free(r);
}

struct bytes resource_service(const struct resource *r)
{
	const struct attr *a = r ? attrs_find(&r->attrs, "service.name") : NULL;

	/* The name that the OpenTelemetry resource conventions give to a service without one. */
	return a && a->type == ATTR_STRING && a->s.n ? a->s : BYTES_LITERAL("unknown_service");
}
