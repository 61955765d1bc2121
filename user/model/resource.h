/* SPDX-License-Identifier: Apache-2.0 */
/* The observed entity that telemetry belongs to (OTLP Resource). Reference-counted, shared by spans and metrics. */
#ifndef SONDE_MODEL_RESOURCE_H
#define SONDE_MODEL_RESOURCE_H

#include "model/attr.h"

struct resource {
	int refs;
	uint64_t id;	    /* equal ids have equal attributes */
	struct attrs attrs; /* service.name first */
};

struct resource *resource_new(void); /* one reference; NULL when out of memory */
struct resource *resource_ref(struct resource *r);
void resource_unref(struct resource *r); /* NULL is allowed */
/* service.name, never empty. */
struct bytes resource_service(const struct resource *r);

#endif
