/* SPDX-License-Identifier: Apache-2.0 */
/* Texts to values, for every source, and the words for what a setting takes. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>

#include "config/options.h"
#include "config/url.h"
#include "util/cleanup.h"

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit time_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { 0 } };
static const struct unit size_units[] = {
	{ "KiB", 1 << 10 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { "B", 1 }, { 0 }
};

bool parse_number(struct bytes text, uint64_t *ret)
{
	uint64_t v = 0;

	if (!text.n)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		unsigned digit = (unsigned char)text.p[i] - '0';

		if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*ret = v;
	return true;
}

/* "10s": a number and one of the units. A number alone counts in bare, or is refused when bare is 0 and it is not 0. */
static bool parse_units(struct bytes text, const struct unit *units, uint64_t bare, uint64_t *ret)
{
	size_t digits = 0;
	uint64_t v;
	struct bytes unit;

	while (digits < text.n && text.p[digits] >= '0' && text.p[digits] <= '9')
		digits++;
	unit = bytes_trim(bytes_tail(text, digits));
	if (!parse_number(bytes_head(text, digits), &v))
		return false;
	if (!unit.n) {
		if (!bare && v)
			return false;
		return !__builtin_mul_overflow(v, bare, ret);
	}
	for (; units->name; units++)
		if (bytes_ieq(unit, bytes_str(units->name)))
			return !__builtin_mul_overflow(v, units->factor, ret);
	return false;
}

static bool parse_decimal(struct bytes text, double *ret)
{
	char copy[32], *end;

	if (!text.n || text.n >= sizeof(copy))
		return false;
	memcpy(copy, text.p, text.n);
	copy[text.n] = '\0';
	/* strtod() would also take inf, nan and hexadecimal numbers */
	if (strspn(copy, "0123456789.eE+-") != text.n)
		return false;
	*ret = strtod(copy, &end);
	return *end == '\0' && isfinite(*ret);
}

/* Numbers, times and sizes: the value in the unit in which the option keeps it. */
static bool parse_integer(const struct option *o, enum option_source source, struct bytes text, uint64_t *ret)
{
	uint64_t v;

	switch (o->type) {
	case OPTION_SIZE:
		if (!parse_units(text, size_units, 1, &v))
			return false;
		break;
	case OPTION_MS:
		if (source == SOURCE_ENVIRONMENT ? !parse_number(text, &v) : !parse_units(text, time_units, 0, &v))
			return false;
		break;
	case OPTION_SECONDS:
		if (!parse_units(text, time_units, source == SOURCE_FLAG ? 1000 : 0, &v) || v % 1000)
			return false;
		v /= 1000;
		break;
	default:
		if (!parse_number(text, &v))
			return false;
	}
	if (v < o->min || v > o->max)
		return false;
	*ret = v;
	return true;
}

static void *field(struct config_state *s, uint16_t offset)
{
	return (char *)s + offset;
}

static void store(struct config_state *s, const struct option *o, uint64_t v)
{
	for (int i = 0; i < 2; i++) {
		uint16_t offset = i ? o->also : o->offset;

		if (offset == NO_OFFSET)
			continue;
		if (o->size == 1)
			*(bool *)field(s, offset) = v;
		else if (o->size == 4)
			*(uint32_t *)field(s, offset) = (uint32_t)v;
		else
			*(uint64_t *)field(s, offset) = v;
	}
}

static int replace(char **at, const char *text, size_t n)
{
	char *copy = NULL;

	if (n) {
		copy = strndup(text, n);
		if (!copy)
			return -ENOMEM;
	}
	free(*at);
	*at = copy;
	return 0;
}

static int store_text(struct config_state *s, const struct option *o, struct bytes text)
{
	int r = replace(field(s, o->offset), text.p, text.n);

	if (r == 0 && o->also != NO_OFFSET)
		r = replace(field(s, o->also), text.p, text.n);
	return r;
}

static const struct choice *find_choice(const struct option *o, enum option_source source, struct bytes text)
{
	for (const struct choice *c = o->choices; c->name; c++)
		if (bytes_ieq(text, bytes_str(c->name)) && (!c->note || source == SOURCE_ENVIRONMENT))
			return c;
	return NULL;
}

/* A list. The environment leaves out what it does not know (with a note); elsewhere that is a mistake. */
static int set_list(struct config_state *s, const struct option *o, enum option_source source, struct bytes text,
		    const char **ret_note)
{
	uint32_t bits = 0;
	bool none = false;

	while (text.n) {
		size_t n = bytes_find(text, ',');
		struct bytes item = bytes_trim(bytes_head(text, n));
		const struct choice *c = find_choice(o, source, item);

		text = bytes_tail(text, n + 1);
		if (!item.n)
			continue;
		if (!c)
			return -EINVAL;
		if (c->note)
			*ret_note = c->note;
		bits |= (uint32_t)c->value;
		none |= strcmp(c->name, "none") == 0;
	}
	if (none && bits != EXPORTER_NONE)
		return -EINVAL;
	/* nothing left of what the environment wanted: as if it had said nothing */
	if (bits || source != SOURCE_ENVIRONMENT)
		store(s, o, bits);
	return 0;
}

static int set_url(struct config_state *s, const struct option *o, struct bytes text)
{
	_cleanup_free_ char *traces = NULL, *metrics = NULL;
	int r;

	if (o->type == OPTION_URL) {
		r = url_as_is(text, &traces);
		return r < 0 ? r : store_text(s, o, bytes_str(traces));
	}
	r = url_join(text, "v1/traces", &traces);
	if (r == 0)
		r = url_join(text, "v1/metrics", &metrics);
	if (r == 0)
		r = replace(field(s, o->offset), traces, strlen(traces));
	if (r == 0)
		r = replace(field(s, o->also), metrics, strlen(metrics));
	return r;
}

static bool plain(struct bytes text)
{
	for (size_t i = 0; i < text.n; i++)
		if ((unsigned char)text.p[i] < 0x20 || text.p[i] == 0x7f)
			return false;
	return text.n <= OPTION_TEXT_MAX;
}

static int set_text(struct config_state *s, const struct option *o, enum option_source source, struct bytes text)
{
	const struct choice *c;

	switch ((enum option_type)o->type) {
	case OPTION_URL:
	case OPTION_BASE_URL:
		return set_url(s, o, text);
	case OPTION_HEADERS:
	case OPTION_ATTRIBUTES:
		return pairs_valid(text, o->type == OPTION_HEADERS) ? store_text(s, o, text) : -EINVAL;
	case OPTION_NAME:
		c = find_choice(o, source, text);
		return c ? store_text(s, o, bytes_str(strcmp(c->name, "auto") ? c->name : "")) : -EINVAL;
	default:
		return text.n ? store_text(s, o, text) : -EINVAL;
	}
}

static int set_choice(struct config_state *s, const struct option *o, enum option_source source, struct bytes text,
		      const char **ret_note)
{
	const struct choice *c = find_choice(o, source, text);

	if (!c)
		return -EINVAL;
	*ret_note = c->note;
	store(s, o, (uint64_t)(int64_t)c->value);
	return 0;
}

static int set_number(struct config_state *s, const struct option *o, enum option_source source, struct bytes text)
{
	double d;
	uint64_t v;

	if (o->type == OPTION_DECIMAL) {
		if (!parse_decimal(text, &d) || d < (double)o->min || d > (double)o->max)
			return -EINVAL;
		*(double *)field(s, o->offset) = d;
		return 0;
	}
	if (o->type == OPTION_BOOL) {
		v = bytes_ieq(text, BYTES_LITERAL("true"));
		if (!v && !bytes_ieq(text, BYTES_LITERAL("false")))
			return -EINVAL;
	} else if (!parse_integer(o, source, text, &v)) {
		return -EINVAL;
	}
	store(s, o, v);
	return 0;
}

int option_set(struct config_state *s, const struct option *o, enum option_source source, struct bytes text,
	       const char **ret_note)
{
	const char *note = NULL;
	int r;

	text = bytes_trim(text);
	if (!plain(text))
		return -EINVAL;
	switch ((enum option_type)o->type) {
	case OPTION_RULES:
		return -EINVAL;
	case OPTION_CHOICE:
		r = set_choice(s, o, source, text, &note);
		break;
	case OPTION_SET:
		r = set_list(s, o, source, text, &note);
		break;
	case OPTION_NUMBER:
	case OPTION_SIZE:
	case OPTION_MS:
	case OPTION_SECONDS:
	case OPTION_DECIMAL:
	case OPTION_BOOL:
		r = set_number(s, o, source, text);
		break;
	default:
		r = set_text(s, o, source, text);
	}
	if (r == 0 && ret_note)
		*ret_note = note;
	return r;
}

void option_clear(struct config_state *s, const struct option *o)
{
	switch ((enum option_type)o->type) {
	case OPTION_TEXT:
	case OPTION_FILE:
	case OPTION_NAME:
	case OPTION_URL:
	case OPTION_BASE_URL:
	case OPTION_HEADERS:
	case OPTION_ATTRIBUTES:
		(void)store_text(s, o, (struct bytes){ 0 }); /* nothing is allocated for an empty text */
		break;
	default:
		break;
	}
}
