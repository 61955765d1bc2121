/* SPDX-License-Identifier: Apache-2.0 */
/* Drives MySQL's frame headers over a piece of bytes the way the kernel side does. */
#ifndef TESTS_UNIT_MYSQL_DRIVE_H
#define TESTS_UNIT_MYSQL_DRIVE_H

#include <stddef.h>
#include <string.h>

#include "frame/mysql_answer.h"

static inline void drive_mysql_request(struct mysql_request_walk *w, const char *p, size_t n)
{
	struct mysql_packets *k = &w->packets;

	for (size_t off = 0; off < n && !w->bad;) {
		if (k->skip) {
			size_t step = k->skip < n - off ? k->skip : n - off;

			k->skip -= (__u32)step;
			off += step;
			continue;
		}
		if (mysql_request_wants(w))
			k->head[k->n++] = (__u8)p[off++];
		if (!mysql_request_wants(w))
			mysql_request_packet(w);
	}
}

/* Rows alike are not passed at once: what is no row may hide among them, where somebody made it so. */
static int drive_one_by_one;

/* How many of the n bytes belong to the answer, as far as it got. */
static inline size_t drive_mysql_answer(struct mysql_answer *a, const char *p, size_t n)
{
	struct mysql_packets *k = &a->packets;
	size_t off = 0;
	__u32 before = 0;

	while (off < n) {
		if (k->skip) {
			size_t step = k->skip < n - off ? k->skip : n - off;

			k->skip -= (__u32)step;
			off += step;
			continue;
		}
		if (mysql_answer_ended(a))
			break;
		if (a->state == MYSQL_ROWS && !k->n && !k->joined && n - off >= 5) {
			__u32 row = mysql_row(p + off);

			if (row) {
				__u32 rows = 1;

				if (row == before && a->rows > MYSQL_ALIKE_FROM && !drive_one_by_one)
					rows = mysql_alike(p + off, 0, row, n - off > 1024 ? 1024 : (__u32)(n - off))
						       ?: 1;
				before = row;
				a->rows += rows;
				k->skip = rows * row;
				continue;
			}
		}
		if (mysql_answer_wants(a))
			k->head[k->n++] = (__u8)p[off++];
		if (!mysql_answer_wants(a))
			mysql_answer_packet(a);
	}
	return off;
}

/* Are both at the same place? What is left over in the bytes of a head does not count. */
static inline int mysql_same_packets(const struct mysql_packets *a, const struct mysql_packets *b)
{
	return a->skip == b->skip && a->n == b->n && a->joined == b->joined && memcmp(a->head, b->head, a->n) == 0;
}

static inline int mysql_same_answer(const struct mysql_answer *a, const struct mysql_answer *b)
{
	struct mysql_answer x = *a, y = *b;

	memset(&x.packets, 0, sizeof(x.packets));
	memset(&y.packets, 0, sizeof(y.packets));
	return mysql_same_packets(&a->packets, &b->packets) && memcmp(&x, &y, sizeof(x)) == 0;
}

static inline int mysql_same_request(const struct mysql_request_walk *a, const struct mysql_request_walk *b)
{
	return mysql_same_packets(&a->packets, &b->packets) && a->commands == b->commands && a->command == b->command &&
	       a->statement == b->statement && a->bad == b->bad && a->ended == b->ended;
}

#endif
