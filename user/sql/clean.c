/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/clean.h"

/* Length of the character at p if it is well-formed (Unicode 15, table 3-7), else 0. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t need;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		need = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		need = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		need = 4;
	else
		return 0;
	if (n < need)
		return 0;
	if (p[0] == 0xe0)
		low = 0xa0;
	else if (p[0] == 0xed)
		high = 0x9f;
	else if (p[0] == 0xf0)
		low = 0x90;
	else if (p[0] == 0xf4)
		high = 0x8f;
	if (p[1] < low || p[1] > high)
		return 0;
	for (size_t i = 2; i < need; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	return need;
}

static bool plain(unsigned char c)
{
	return (c >= ' ' && c < 0x7f) || c == '\t' || c == '\n' || c == '\r';
}

size_t sql_clean_run(struct bytes text)
{
	size_t n = 0;

	while (n < text.n && plain((unsigned char)text.p[n]))
		n++;
	return n;
}

size_t sql_clean_char(struct bytes *text, char ret[SQL_CHAR_MAX])
{
	const unsigned char *p = (const unsigned char *)text->p;
	size_t n = 1;

	if (*p < 0x80) {
		ret[0] = plain(*p) ? (char)*p : ' ';
	} else {
		n = utf8_length(p, text->n);
		if (n == 0) {
			memcpy(ret, "\xef\xbf\xbd", 3);
			*text = bytes_tail(*text, 1);
			return 3;
		}
		memcpy(ret, p, n);
	}
	*text = bytes_tail(*text, n);
	return n;
}

size_t sql_clean(struct buf *out, struct bytes text)
{
	char c[SQL_CHAR_MAX];
	size_t chars = 0;

	while (text.n) {
		size_t run = sql_clean_run(text);

		buf_add(out, bytes_head(text, run));
		text = bytes_tail(text, run);
		chars += run;
		if (text.n) {
			buf_add(out, bytes_of(c, sql_clean_char(&text, c)));
			chars++;
		}
	}
	return chars;
}

size_t sql_chars_length(struct bytes text, size_t n)
{
	size_t at;

	for (at = 0; at < text.n; at++)
		if (((unsigned char)text.p[at] & 0xc0) != 0x80 && n-- == 0)
			break;
	return at;
}
