/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML file as a tree in which every node knows its line. Built from libyaml's events, which are stopped as soon as
 * the file is deeper, longer or stranger than a configuration can be: libyaml by itself takes minutes for 256 KiB of
 * '['.
 */
#ifndef SONDE_CONFIG_DOCUMENT_H
#define SONDE_CONFIG_DOCUMENT_H

#include "util/bytes.h"

enum { DOCUMENT_BYTES_MAX = 1 << 20, DOCUMENT_DEPTH_MAX = 16, DOCUMENT_NODES_MAX = 65536 };

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING };

struct node {
	enum node_kind kind;
	unsigned line;	    /* from 1 */
	bool plain;	    /* a scalar without quotes */
	struct bytes text;  /* of a scalar; NUL-terminated behind its end */
	struct node *child; /* first; of a mapping: key, value, key, value, ... */
	struct node *next;
};

struct document {
	struct node *root; /* NULL: the file is empty */
	void *blocks;	   /* memory of the nodes */
};

/*
 * 0; -EINVAL when it is no YAML or not one we take: then *ret_line (from 1) and error say where and why; -ENOMEM.
 */
int document_load(struct bytes in, struct document *ret, unsigned *ret_line, char *error, size_t error_size);
void document_free(struct document *d);

#endif
