/* SPDX-License-Identifier: Apache-2.0 */
/* Spans as text: a trace as lines for people, or one span as a JSON object for programs. */
#ifndef SONDE_EXPORT_CONSOLE_TEXT_H
#define SONDE_EXPORT_CONSOLE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/span.h"
#include "util/buf.h"

struct text_style {
	bool colour, utf8;
	unsigned columns;   /* lines are cut to this width, 0 = not cut */
	bool full_trace_id; /* so that it can be looked up somewhere else */
};

/* A span and those below it, flattened: each parent before its children, brothers by their start. */
struct text_node {
	struct span *span;
	uint32_t depth; /* 0: the first one, and only that */
};

/* Appends the lines of one tree: nodes[0] is its root; unseen more spans exist that are not in nodes. */
void console_trace(struct buf *out, const struct text_style *style, const struct text_node *nodes, size_t n,
		   size_t unseen);
/* The name that a route is known by: the span's name, with the path where no route is known. Appended to out. */
void console_label(struct buf *out, const struct span *s);

#endif
