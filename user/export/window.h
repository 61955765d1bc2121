/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chooses which traces of one second a person gets to see: those with errors first, then the slowest of each route,
 * then a random sample. Memory is bounded by the number that is shown.
 */
#ifndef SONDE_EXPORT_WINDOW_H
#define SONDE_EXPORT_WINDOW_H

#include <stddef.h>

#include "export/console_text.h"

struct window;

/* unseen: spans of the trace that were too many to keep. */
typedef void window_show_fn(void *context, const struct text_node *nodes, size_t n, size_t unseen);

/* At most max traces are chosen. NULL when out of memory. */
struct window *window_new(size_t max);
void window_free(struct window *w); /* NULL is allowed */
/* Offers a trace; its spans are kept by reference only while it is among the chosen. */
void window_offer(struct window *w, const struct text_node *nodes, size_t n);
/* Calls show for at most max of the chosen, in the order of their start, and forgets all. */
void window_close(struct window *w, size_t max, window_show_fn *show, void *context);

#endif
