/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of a mistake: one line each, the same words for every source. */
#include <stdarg.h>
#include <stdio.h>

#include "config/options.h"

void complain(struct complaints *to, const char *format, ...)
{
	char line[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	to->count++;
	to->fn(to->context, line);
}

static void expect_choices(const struct option *o, const char *start, char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "%s", start);

	for (const struct choice *c = o->choices; c->name && n < size; c++)
		if (!c->note)
			n += (size_t)snprintf(buf + n, size - n, "%s %s", c == o->choices ? "" : ",", c->name);
	if (o->type == OPTION_SET && n < size && strstr(buf, ", none"))
		snprintf(buf + n, size - n, " (none only by itself)");
}

/* A limit in the largest unit that divides it. */
static void limit(char *buf, size_t size, uint64_t v, bool bytes)
{
	static const struct {
		const char *name;
		uint64_t factor;
		bool bytes;
	} units[] = {
		{ "GiB", 1 << 30, true }, { "MiB", 1 << 20, true }, { "KiB", 1 << 10, true }, { "B", 1, true },
		{ "h", 3600000, false },  { "m", 60000, false },    { "s", 1000, false },     { "ms", 1, false },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (units[i].bytes != bytes || v % units[i].factor)
			continue;
		snprintf(buf, size, "%llu%s", (unsigned long long)(v / units[i].factor), v ? units[i].name : "");
		return;
	}
}

static void expect_number(const struct option *o, enum option_source source, char *buf, size_t size)
{
	char min[32], max[32];
	unsigned long long from = o->min, to = o->max;

	switch ((enum option_type)o->type) {
	case OPTION_SIZE:
		limit(min, sizeof(min), o->min, true);
		limit(max, sizeof(max), o->max, true);
		snprintf(buf, size, "a size such as 8MiB, from %s to %s", min, max);
		break;
	case OPTION_MS:
		limit(min, sizeof(min), o->min, false);
		limit(max, sizeof(max), o->max, false);
		if (source == SOURCE_ENVIRONMENT)
			snprintf(buf, size, "a whole number of milliseconds from %llu to %llu", from, to);
		else
			snprintf(buf, size, "a time with its unit such as 500ms, 10s or 5m, from %s to %s", min, max);
		break;
	case OPTION_SECONDS:
		if (source == SOURCE_FLAG)
			snprintf(buf, size, "a number of seconds, or a time such as 5m, up to %llu days", to / 86400);
		else
			snprintf(buf, size, "a time in whole seconds with its unit such as 90s or 5m, up to %llu days",
				 to / 86400);
		break;
	case OPTION_DECIMAL:
		snprintf(buf, size, "a number from %llu to %llu", from, to);
		break;
	default:
		snprintf(buf, size, "a whole number from %llu to %llu", from, to);
	}
}

void option_expect(const struct option *o, enum option_source source, char *buf, size_t size)
{
	const char *words = NULL;

	switch ((enum option_type)o->type) {
	case OPTION_TEXT:
		words = "a text of at most 4096 bytes without control characters";
		break;
	case OPTION_FILE:
		words = "the name of a file";
		break;
	case OPTION_URL:
		words = "a URL such as http://localhost:4318/v1/traces";
		break;
	case OPTION_BASE_URL:
		words = "a URL such as http://localhost:4318";
		break;
	case OPTION_HEADERS:
		words = "headers such as key=value,key2=value2, percent-encoded";
		break;
	case OPTION_ATTRIBUTES:
		words = "attributes such as key=value,key2=value2, percent-encoded";
		break;
	case OPTION_BOOL:
		words = "true or false";
		break;
	case OPTION_RULES:
		words = "a list of rules";
		break;
	case OPTION_NAME:
	case OPTION_CHOICE:
		expect_choices(o, "one of", buf, size);
		return;
	case OPTION_SET:
		expect_choices(o, "a list of", buf, size);
		return;
	default:
		expect_number(o, source, buf, size);
		return;
	}
	snprintf(buf, size, "%s", words);
}

const char *option_got(const struct option *o, struct bytes text, char *buf, size_t size)
{
	size_t n = 0;

	if (o && o->type == OPTION_HEADERS) {
		snprintf(buf, size, "something else (not shown: it may hold a secret)");
		return buf;
	}
	buf[n++] = '"';
	for (size_t i = 0; i < text.n; i++) {
		if (n + 6 > size) {
			while (n > 1 && ((unsigned char)buf[n - 1] & 0xc0) == 0x80)
				n--; /* not in the middle of a character */
			if (n > 1 && (unsigned char)buf[n - 1] >= 0xc0)
				n--;
			memcpy(buf + n, "...", 3);
			n += 3;
			break;
		}
		buf[n++] = (unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f ? '?' : text.p[i];
	}
	buf[n++] = '"';
	buf[n] = '\0';
	return buf;
}
