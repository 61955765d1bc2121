/* SPDX-License-Identifier: Apache-2.0 */
/* Spans as JSON, one object a line. */
#ifndef SONDE_EXPORT_CONSOLE_JSON_H
#define SONDE_EXPORT_CONSOLE_JSON_H

#include "model/span.h"
#include "util/buf.h"

#define JSON_RESOURCES 8

/* Resources as text: spans of a few services come one after another. A resource that is kept here does not change. */
struct json_resources {
	struct json_resource {
		struct resource *resource; /* a reference of its own; NULL = none */
		struct buf text;
	} v[JSON_RESOURCES];
	size_t next; /* to be given to another */
};

void json_resources_free(struct json_resources *known); /* frees what it holds; it is empty and usable again */
/* Appends one line with a JSON object. */
void console_json(struct buf *out, const struct span *s, struct json_resources *known);

#endif
