/* SPDX-License-Identifier: Apache-2.0 */
#include "export/text.h"

#include <stdio.h>

#include "model/utf8.h"

/* Three significant digits of a value below 1000; false when rounding carries it to 1000. */
static bool three_digits(char out[TEXT_NUMBER], double v, const char *unit)
{
	if (v >= 999.5)
		return false;
	snprintf(out, TEXT_NUMBER, v < 9.995 ? "%.2f %s" : v < 99.95 ? "%.1f %s" : "%.0f %s", v, unit);
	return true;
}

const char *text_duration(char out[TEXT_NUMBER], double seconds)
{
	double ns = seconds * 1e9;
	uint64_t whole;

	if (!(seconds > 0)) {
		snprintf(out, TEXT_NUMBER, "0 s");
	} else if (ns < 999.5) {
		snprintf(out, TEXT_NUMBER, "%.0f ns", ns);
	} else if (!three_digits(out, ns / 1e3, "us") && !three_digits(out, ns / 1e6, "ms") &&
		   (seconds >= 119.5 || !three_digits(out, seconds, "s"))) {
		whole = seconds < 1e15 ? (uint64_t)(seconds + 0.5) : (uint64_t)1e15;
		if (whole < 7200)
			snprintf(out, TEXT_NUMBER, "%u min %u s", (unsigned)(whole / 60), (unsigned)(whole % 60));
		else
			snprintf(out, TEXT_NUMBER, "%llu h %u min", (unsigned long long)(whole / 3600),
				 (unsigned)(whole / 60 % 60));
	}
	return out;
}

const char *text_count(char out[TEXT_NUMBER], uint64_t n)
{
	char digits[TEXT_NUMBER];
	int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n);
	char *to = out;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			*to++ = ',';
		*to++ = digits[i];
	}
	*to = '\0';
	return out;
}

const char *text_percent(char out[TEXT_NUMBER], double part, double whole)
{
	double p = whole > 0 ? 100 * part / whole : 0;

	if (!(whole > 0))
		snprintf(out, TEXT_NUMBER, "-");
	else if (!(part > 0))
		snprintf(out, TEXT_NUMBER, "0 %%");
	else if (p < 0.1)
		snprintf(out, TEXT_NUMBER, "<0.1 %%");
	else if (p < 9.95)
		snprintf(out, TEXT_NUMBER, "%.1f %%", p);
	else if (part < whole && p >= 99.5)
		snprintf(out, TEXT_NUMBER, ">99 %%");
	else
		snprintf(out, TEXT_NUMBER, "%.0f %%", p < 1e6 ? p : 1e6);
	return out;
}

const char *text_bytes(char out[TEXT_NUMBER], uint64_t n)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)n / 1024;
	size_t unit = 0;

	while (v >= 999.95 && unit < sizeof(units) / sizeof(units[0]) - 1) {
		v /= 1024;
		unit++;
	}
	snprintf(out, TEXT_NUMBER, "%.1f %s", v, units[unit]);
	return out;
}

size_t text_columns(struct bytes s)
{
	size_t columns = 0;
	bool valid;

	for (; s.n; columns++)
		s = bytes_tail(s, utf8_next(s, &valid));
	return columns;
}

/* Characters that move the cursor, change direction or cannot be seen: C1 controls, bidirectional and zero-width ones.
 */
static bool treacherous(struct bytes c)
{
	const unsigned char *p = (const unsigned char *)c.p;

	if (c.n == 2)
		return p[0] == 0xc2 && p[1] < 0xa0;
	if (c.n != 3 || p[0] != 0xe2)
		return false;
	if (p[1] == 0x80)
		return (p[2] >= 0x8b && p[2] <= 0x8f) || (p[2] >= 0xa8 && p[2] <= 0xae);
	return p[1] == 0x81 && p[2] >= 0xa0 && p[2] <= 0xaf;
}

static bool is_space(struct bytes c)
{
	return c.n == 1 && (c.p[0] == ' ' || (c.p[0] >= '\t' && c.p[0] <= '\r'));
}

size_t text_clean(struct buf *b, struct bytes s, size_t max, bool utf8)
{
	size_t columns = 0, undo_n = b->n, ellipsis = utf8 ? 1 : 2;
	bool space = true, valid;

	while (s.n && is_space(bytes_tail(s, s.n - 1)))
		s.n--;
	while (s.n) {
		struct bytes c = bytes_head(s, utf8_next(s, &valid));

		s = bytes_tail(s, c.n);
		if (is_space(c)) {
			if (space)
				continue;
			c = BYTES_LITERAL(" ");
		} else if (!valid || (c.n == 1 && (c.p[0] < ' ' || c.p[0] == 0x7f)) ||
			   (c.n > 1 && (!utf8 || treacherous(c)))) {
			c = BYTES_LITERAL("?");
		}
		space = c.p[0] == ' ';
		if (max && columns == max) {
			if (max <= ellipsis)
				return columns;
			b->n = undo_n;
			buf_str(b, utf8 ? "…" : "..");
			return max;
		}
		if (columns + ellipsis <= max)
			undo_n = b->n;
		buf_add(b, c);
		columns++;
	}
	return columns;
}
