/* SPDX-License-Identifier: Apache-2.0 */
#include "export/http_headers.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_MAX 3600 /* seconds */

/* A '%' that no two digits follow stays as it is: keys in the wild hold such. */
static void percent_decode(struct buf *out, struct bytes s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '%' && s.n - i > 2 && hex_value(s.p[i + 1]) >= 0 && hex_value(s.p[i + 2]) >= 0) {
			buf_char(out, (char)(hex_value(s.p[i + 1]) << 4 | hex_value(s.p[i + 2])));
			i += 2;
		} else {
			buf_char(out, s.p[i]);
		}
	}
}

static bool is_token(struct bytes s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && (!s.p[i] || !strchr("!#$%&'*+-.^_`|~", s.p[i])))
			return false;
	return s.n > 0;
}

static bool has_control(struct bytes s)
{
	for (size_t i = 0; i < s.n; i++)
		if (((unsigned char)s.p[i] < ' ' && s.p[i] != '\t') || s.p[i] == 0x7f)
			return true;
	return false;
}

static int one_header(struct bytes item, struct buf *line, http_header_fn *header, void *context)
{
	size_t equals = bytes_find(item, '='), name;

	if (equals == item.n)
		return -EINVAL;
	buf_reset(line);
	percent_decode(line, bytes_trim(bytes_head(item, equals)));
	if (line->failed)
		return -ENOMEM;
	if (!is_token(buf_bytes(line)))
		return -EINVAL;
	name = line->n;
	buf_str(line, ": ");
	percent_decode(line, bytes_trim(bytes_tail(item, equals + 1)));
	if (line->failed)
		return -ENOMEM;
	if (has_control(buf_bytes(line)))
		return -EINVAL;
	if (line->n == name + 2)
		memcpy(line->p + name, ";", 2); /* libcurl's way to send a header without a value */
	return header(context, line->p);
}

int http_headers(const char *list, http_header_fn *header, void *context)
{
	struct bytes rest = bytes_str(list);
	struct buf line = { 0 };
	int r = 0;

	while (rest.n && r == 0) {
		size_t comma = bytes_find(rest, ',');
		struct bytes item = bytes_trim(bytes_head(rest, comma));

		rest = bytes_tail(rest, comma + 1);
		if (item.n)
			r = one_header(item, &line, header, context);
	}
	buf_free(&line);
	return r;
}

uint64_t http_retry_after(const char *value, int64_t now)
{
	static const char *const dates[] = { "%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
					     "%a %b %e %H:%M:%S %Y" };
	int64_t wait = 0;

	while (*value == ' ' || *value == '\t')
		value++;
	if (isdigit((unsigned char)*value)) {
		char *end;
		unsigned long long seconds = strtoull(value, &end, 10);

		if (*end && *end != ' ' && *end != '\t')
			return 0;
		wait = seconds < WAIT_MAX ? (int64_t)seconds : WAIT_MAX;
	} else {
		for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
			struct tm tm = { 0 };

			if (strptime(value, dates[i], &tm)) {
				wait = (int64_t)timegm(&tm) - now;
				break;
			}
		}
	}
	if (wait > WAIT_MAX)
		wait = WAIT_MAX;
	return wait > 0 ? (uint64_t)wait * 1000000000 : 0;
}
