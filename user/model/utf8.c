/* SPDX-License-Identifier: Apache-2.0 */
#include "model/utf8.h"

#include <stdint.h>
#include <string.h>

static const char replacement[3] = { (char)0xef, (char)0xbf, (char)0xbd };

size_t utf8_next(struct bytes s, bool *ret_valid)
{
	const unsigned char *p = (const unsigned char *)s.p;
	unsigned char low = 0x80, high = 0xbf;
	size_t need;

	*ret_valid = false;
	if (!s.n)
		return 0;
	if (p[0] < 0x80) {
		*ret_valid = true;
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		need = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		need = 3;
		if (p[0] == 0xe0)
			low = 0xa0; /* shorter forms exist */
		else if (p[0] == 0xed)
			high = 0x9f; /* surrogates */
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		need = 4;
		if (p[0] == 0xf0)
			low = 0x90;
		else if (p[0] == 0xf4)
			high = 0x8f; /* beyond U+10FFFF */
	} else {
		return 1;
	}
	for (size_t i = 1; i < need; i++) {
		if (i >= s.n || p[i] < low || p[i] > high)
			return i;
		low = 0x80;
		high = 0xbf;
	}
	*ret_valid = true;
	return need;
}

struct bytes utf8_head(struct bytes s, size_t max)
{
	struct bytes rest = s;
	bool valid;

	if (!max || s.n <= max)
		return s;
	if (utf8_ascii_head(bytes_head(s, max)) == max)
		return bytes_head(s, max);
	while (rest.n && max--)
		rest = bytes_tail(rest, utf8_next(rest, &valid));
	return (struct bytes){ s.p, s.n - rest.n };
}

size_t utf8_ascii_head(struct bytes s)
{
	size_t i = 0;
	uint64_t w;

	for (; i + sizeof(w) <= s.n; i += sizeof(w)) {
		memcpy(&w, s.p + i, sizeof(w));
		if (w & 0x8080808080808080)
			break;
	}
	while (i < s.n && (unsigned char)s.p[i] < 0x80)
		i++;
	return i;
}

size_t utf8_clean_size(struct bytes s)
{
	size_t n = 0, step;
	bool valid;

	while (s.n) {
		step = utf8_ascii_head(s);
		n += step;
		s = bytes_tail(s, step);
		if (!s.n)
			break;
		step = utf8_next(s, &valid);
		n += valid ? step : sizeof(replacement);
		s = bytes_tail(s, step);
	}
	return n;
}

void utf8_clean(char *out, struct bytes s)
{
	size_t step;
	bool valid;

	while (s.n) {
		step = utf8_ascii_head(s);
		memcpy(out, s.p, step);
		out += step;
		s = bytes_tail(s, step);
		if (!s.n)
			break;
		step = utf8_next(s, &valid);
		memcpy(out, valid ? s.p : replacement, valid ? step : sizeof(replacement));
		out += valid ? step : sizeof(replacement);
		s = bytes_tail(s, step);
	}
}
