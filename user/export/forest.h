/* SPDX-License-Identifier: Apache-2.0 */
/* Turns an array of spans in any order into trees, for the console. */
#ifndef SONDE_EXPORT_FOREST_H
#define SONDE_EXPORT_FOREST_H

#include <stddef.h>

#include "export/console_text.h"
#include "model/span.h"

/* Called for each tree; spans are borrowed from the array. */
typedef void forest_tree_fn(void *context, const struct text_node *nodes, size_t n);

/* Spans of one trace whose parent is in v hang below it; all others are roots. -ENOMEM when out of memory. */
int forest_walk(struct span *const *v, size_t n, forest_tree_fn *tree, void *context);

#endif
