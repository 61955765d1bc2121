/* SPDX-License-Identifier: Apache-2.0 */
#include "config/document.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <yaml.h>

/* A node and its text in one allocation; all are chained for document_free(). */
struct block {
	struct block *older;
	struct node node;
	char text[];
};

struct loader {
	yaml_parser_t parser;
	struct document document;
	struct node *open[DOCUMENT_DEPTH_MAX]; /* lists and mappings that are not closed yet */
	struct node **end[DOCUMENT_DEPTH_MAX]; /* where the next child of each goes */
	size_t depth, nodes;
	unsigned documents;
	unsigned line;
	char *error;
	size_t error_size;
};

static int refuse(struct loader *l, size_t line, const char *why)
{
	l->line = (unsigned)line + 1;
	snprintf(l->error, l->error_size, "%s", why);
	return -EINVAL;
}

static int add(struct loader *l, const yaml_event_t *event, enum node_kind kind, struct bytes text)
{
	struct block *b;

	if (++l->nodes > DOCUMENT_NODES_MAX)
		return refuse(l, event->start_mark.line, "expected a configuration, got more values than one can have");
	b = calloc(1, sizeof(*b) + text.n + 1);
	if (!b)
		return -ENOMEM;
	b->older = l->document.blocks;
	l->document.blocks = b;
	if (text.n)
		memcpy(b->text, text.p, text.n);
	b->node.kind = kind;
	b->node.line = (unsigned)event->start_mark.line + 1;
	b->node.text = bytes_of(b->text, text.n);
	if (kind == NODE_SCALAR)
		b->node.plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (l->depth) {
		*l->end[l->depth - 1] = &b->node;
		l->end[l->depth - 1] = &b->node.next;
	} else {
		l->document.root = &b->node;
	}
	if (kind == NODE_SCALAR)
		return 0;
	if (l->depth == DOCUMENT_DEPTH_MAX)
		return refuse(l, event->start_mark.line,
			      "expected a configuration, got lists or mappings nested too deep");
	l->open[l->depth] = &b->node;
	l->end[l->depth++] = &b->node.child;
	return 0;
}

static int take(struct loader *l, const yaml_event_t *event)
{
	size_t line = event->start_mark.line;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (l->documents++)
			return refuse(l, line, "expected one YAML document, got a second one");
		return 0;
	case YAML_ALIAS_EVENT:
		return refuse(l, line, "expected a value, got an alias (*name): write the value out");
	case YAML_SCALAR_EVENT:
		if (memchr(event->data.scalar.value, '\0', event->data.scalar.length))
			return refuse(l, line, "expected text, got a NUL character");
		return add(l, event, NODE_SCALAR, bytes_of(event->data.scalar.value, event->data.scalar.length));
	case YAML_SEQUENCE_START_EVENT:
		return add(l, event, NODE_LIST, (struct bytes){ 0 });
	case YAML_MAPPING_START_EVENT:
		return add(l, event, NODE_MAPPING, (struct bytes){ 0 });
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		l->depth--;
		return 0;
	default:
		return 0;
	}
}

/* libyaml's own words, with the line. Its reader knows only an offset. */
static int syntax_error(struct loader *l, struct bytes in)
{
	const yaml_parser_t *p = &l->parser;
	size_t line = p->problem_mark.line;

	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (p->error == YAML_READER_ERROR) {
		struct bytes before = bytes_head(in, p->problem_offset);

		line = 0;
		for (size_t i = 0; i < before.n; i++)
			line += before.p[i] == '\n';
	}
	l->line = (unsigned)line + 1;
	snprintf(l->error, l->error_size, "expected YAML in UTF-8, got something else: %s",
		 p->problem ? p->problem : "unknown problem");
	return -EINVAL;
}

int document_load(struct bytes in, struct document *ret, unsigned *ret_line, char *error, size_t error_size)
{
	struct loader l = { .error = error, .error_size = error_size };
	yaml_event_type_t type = YAML_NO_EVENT;
	int r = 0;

	if (!yaml_parser_initialize(&l.parser))
		return -ENOMEM;
	/* without this a byte order mark would choose UTF-16 */
	yaml_parser_set_encoding(&l.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&l.parser, (const unsigned char *)in.p, in.n);
	while (r == 0 && type != YAML_STREAM_END_EVENT) {
		yaml_event_t event;

		if (!yaml_parser_parse(&l.parser, &event)) {
			r = syntax_error(&l, in);
			break;
		}
		type = event.type;
		r = take(&l, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&l.parser);
	if (r < 0) {
		document_free(&l.document);
		if (r == -EINVAL)
			*ret_line = l.line;
		return r;
	}
	*ret = l.document;
	return 0;
}

void document_free(struct document *d)
{
	struct block *b = d->blocks;

	while (b) {
		struct block *older = b->older;

		free(b);
		b = older;
	}
	*d = (struct document){ 0 };
}
