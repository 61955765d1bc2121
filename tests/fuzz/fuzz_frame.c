/* SPDX-License-Identifier: Apache-2.0 */
/* Frames: however the bytes are cut, the same place is reached; no state is ever out of bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/frame_drive.h"
#include "../unit/mysql_drive.h"

static void check(int holds)
{
	if (!holds)
		abort();
}

/* method: above those that there are, a request. */
static void http1_begin(struct http1_answer *a, uint8_t method)
{
	if (method % (HTTP_OTHER + 2) > HTTP_OTHER)
		http1_request_init(a);
	else
		http1_answer_init(a, method % (HTTP_OTHER + 2));
}

static void http1(const char *p, size_t n, uint8_t method, size_t step)
{
	char block[FRAME_BLOCK + 8] = { 0 };
	struct http1_answer whole, cut;
	size_t done, at = 0;

	memcpy(block, p, n < FRAME_BLOCK ? n : FRAME_BLOCK);
	http1_line_says_so(block, (__u32)(n < FRAME_BLOCK ? n : FRAME_BLOCK));
	http1_begin(&whole, method);
	http1_begin(&cut, method);
	done = drive_http1(&whole, p, n);
	check(done <= n && whole.state <= HTTP1_LOST && whole.column <= HTTP1_COLUMN_MAX);
	while (at < done) {
		size_t piece = step < done - at ? step : done - at;

		check(drive_http1(&cut, p + at, piece) == piece);
		at += piece;
	}
	check(http1_same(&whole, &cut));
}

static void postgres(const char *p, size_t n, size_t step)
{
	struct pg_request_walk whole = { 0 }, cut = { 0 };

	drive_pg(&whole, p, n);
	for (size_t at = 0; at < n; at += step)
		drive_pg(&cut, p + at, step < n - at ? step : n - at);
	check(whole.head_n < sizeof(whole.head) && whole.bad == cut.bad);
	if (!whole.bad)
		check(pg_walk_request(&whole) == pg_walk_request(&cut) && whole.skip == cut.skip &&
		      pg_walk_pipelined(&whole) == pg_walk_pipelined(&cut));
}

static void mysql(const char *p, size_t n, uint8_t command, size_t step)
{
	struct mysql_answer whole = { 0 }, cut = { 0 };
	struct mysql_request_walk asked = { 0 }, asked_cut = { 0 };
	size_t done;

	mysql_answer_init(&whole, command);
	mysql_answer_init(&cut, command);
	done = drive_mysql_answer(&whole, p, n);
	check(done <= n && whole.state <= MYSQL_LOST && whole.packets.n < MYSQL_HEAD);
	for (size_t at = 0; at < n; at += step)
		drive_mysql_answer(&cut, p + at, step < n - at ? step : n - at);
	check(mysql_same_answer(&whole, &cut));
	drive_mysql_request(&asked, p, n);
	for (size_t at = 0; at < n && !asked_cut.bad; at += step)
		drive_mysql_request(&asked_cut, p + at, step < n - at ? step : n - at);
	check(asked.bad ? asked_cut.bad : mysql_same_request(&asked, &asked_cut));
	for (size_t at = 0; at + 16 <= n; at++)
		mysql_tail(&cut, p + at, (uint32_t)(n - at));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char head[FRAME_DETECT] = { 0 };
	const char *p = (const char *)data + 2;
	size_t n;

	drive_one_by_one = 1;
	if (size < 3)
		return 0;
	n = size - 2;
	memcpy(head, p, n < sizeof(head) ? n : sizeof(head));
	http1_method(head, (__u32)(n < sizeof(head) ? n : sizeof(head)));
	pg_detect(head, (__u32)(n < sizeof(head) ? n : sizeof(head)), n);
	http1(p, n, data[0], 1u + data[1] % 64);
	postgres(p, n, 1u + data[1] % 64);
	mysql_detect(head, (__u32)(n < sizeof(head) ? n : sizeof(head)), n);
	mysql_detect_login(head, (__u32)(n < sizeof(head) ? n : sizeof(head)), n);
	mysql_greeting(head, (__u32)(n < sizeof(head) ? n : sizeof(head)), n);
	mysql(p, n, data[0], 1u + data[1] % 64);
	return 0;
}
