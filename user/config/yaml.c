/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The YAML file against the table: every mistake of the file in one pass, in the order of its lines, each with what was
 * expected and what was found. What is right is applied in the order of the table, so that otlp.traces.* wins over
 * otlp.* wherever the two stand.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config/reading.h"
#include "config/suggest.h"
#include "config/url.h"
#include "util/buf.h"
#include "util/cleanup.h"

enum { PATH_MAX_LENGTH = 96, MISTAKES_SHOWN = 200 };

void mistake(struct reading *r, unsigned line, const char *format, ...)
{
	char text[768];
	va_list ap;

	if (r->mistakes_n == MISTAKES_SHOWN) {
		r->unseen++;
		return;
	}
	if (r->mistakes_n == r->mistakes_cap) {
		size_t cap = r->mistakes_cap ? r->mistakes_cap * 2 : 8;
		struct mistake *more = realloc(r->mistakes, cap * sizeof(*more));

		if (!more) {
			r->error = -ENOMEM;
			return;
		}
		r->mistakes = more;
		r->mistakes_cap = cap;
	}
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	r->mistakes[r->mistakes_n] = (struct mistake){ line, r->mistakes_n, strdup(text) };
	if (!r->mistakes[r->mistakes_n].text)
		r->error = -ENOMEM;
	else
		r->mistakes_n++;
}

const char *describe(const struct option *o, const struct node *n, char *buf, size_t size)
{
	if (n->kind == NODE_LIST)
		return "a list";
	if (n->kind == NODE_MAPPING)
		return "a mapping";
	return option_got(o, n->text, buf, size);
}

bool is_null(const struct node *n)
{
	return n->kind == NODE_SCALAR && (!n->text.n || (n->plain && (bytes_eq(n->text, BYTES_LITERAL("~")) ||
								      bytes_eq(n->text, BYTES_LITERAL("null")))));
}

/* --- settings --- */

static void add_encoded(struct buf *b, struct bytes text)
{
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c <= 0x20 || c >= 0x7f || c == ',' || c == '=' || c == '%')
			buf_printf(b, "%%%02X", c);
		else
			buf_char(b, (char)c);
	}
}

static bool is_text(const struct node *n)
{
	return n->kind == NODE_SCALAR && n->text.n;
}

/* A list of scalars as the text that the environment would have: "a,b". False: it is not one. */
static bool flatten_list(const struct node *n, struct buf *ret)
{
	for (const struct node *item = n->child; item; item = item->next) {
		if (!is_text(item))
			return false;
		if (ret->n)
			buf_char(ret, ',');
		buf_add(ret, item->text);
	}
	return true;
}

/* A mapping of scalars as "k=v,k2=v2". False: something in it is wrong and has been complained of. */
static bool flatten_pairs(struct reading *r, const struct option *o, const struct node *n, struct buf *ret)
{
	const char *what = o->type == OPTION_HEADERS ? "header" : "attribute";
	char got[96];
	bool fine = true;

	for (const struct node *key = n->child; key && key->next; key = key->next->next) {
		const struct node *value = key->next;
		size_t start = ret->n;

		if (start)
			buf_char(ret, ',');
		/* the name of a header is a token that needs no encoding, and is refused when it does */
		if (o->type == OPTION_HEADERS)
			buf_add(ret, key->text);
		else
			add_encoded(ret, key->text);
		buf_str(ret, "=x");
		if (!is_text(key) || bytes_find(key->text, ',') < key->text.n || ret->failed ||
		    !pairs_valid(bytes_tail(buf_bytes(ret), start), o->type == OPTION_HEADERS)) {
			mistake(r, key->line, "%s: expected the name of a %s, got %s", o->yaml, what,
				describe(NULL, key, got, sizeof(got)));
			fine = false;
		} else if (value->kind != NODE_SCALAR) {
			mistake(r, value->line, "%s: expected the text of a %s, got %s", o->yaml, what,
				describe(o, value, got, sizeof(got)));
			fine = false;
		} else {
			ret->n--;
			add_encoded(ret, value->text);
		}
	}
	return fine;
}

static void apply(struct reading *r, const struct option *o, const struct node *n)
{
	_cleanup_(buf_free) struct buf flat = { 0 };
	bool pairs = o->type == OPTION_HEADERS || o->type == OPTION_ATTRIBUTES;
	char expect[EXPECT_MAX], got[96];
	struct bytes text = n->text;
	int e = -EINVAL;

	if (is_null(n))
		return;
	if (o->type == OPTION_RULES) {
		read_rules(r, o, n);
		return;
	}
	if (pairs && n->kind == NODE_MAPPING && !flatten_pairs(r, o, n, &flat))
		return;
	if (n->kind == NODE_SCALAR || (pairs && n->kind == NODE_MAPPING) ||
	    (o->type == OPTION_SET && n->kind == NODE_LIST && flatten_list(n, &flat))) {
		if (n->kind != NODE_SCALAR)
			text = buf_bytes(&flat);
		e = flat.failed ? -ENOMEM : option_set(r->state, o, SOURCE_YAML, text, NULL);
	}
	if (e == -EINVAL) {
		option_expect(o, SOURCE_YAML, expect, sizeof(expect));
		/* of a list, what is in it says more than that it is one */
		mistake(r, n->line, "%s: expected %s, got %s", o->yaml, expect,
			flat.n ? option_got(o, text, got, sizeof(got)) : describe(o, n, got, sizeof(got)));
	} else if (e < 0) {
		r->error = e;
	}
}

/* --- keys --- */

static size_t find_option(const char *path)
{
	size_t i = 0;

	while (i < options_n && (!options[i].yaml || strcmp(options[i].yaml, path) != 0))
		i++;
	return i;
}

/* The name that follows prefix ("otlp.") in a path of the table, or empty. */
static struct bytes next_name(const struct option *o, const char *prefix)
{
	struct bytes path = bytes_str(o->yaml), start = bytes_str(prefix);

	if (!path.n || !bytes_starts(path, start))
		return (struct bytes){ 0 };
	path = bytes_tail(path, start.n);
	return bytes_head(path, bytes_find(path, '.'));
}

static bool is_section(const char *path)
{
	char prefix[PATH_MAX_LENGTH + 2];

	snprintf(prefix, sizeof(prefix), "%s.", path);
	for (size_t i = 0; i < options_n; i++)
		if (next_name(&options[i], prefix).n)
			return true;
	return false;
}

/* Near names of the same place first; then the very name in another place. */
static void unknown_key(struct reading *r, const struct node *key, const char *prefix)
{
	struct suggestion s = suggest_for(key->text);
	const char *elsewhere = NULL, *got;
	char buf[96];

	for (size_t i = 0; i < options_n; i++) {
		const char *last = options[i].yaml ? strrchr(options[i].yaml, '.') : NULL;

		suggest_offer(&s, next_name(&options[i], prefix));
		if (!elsewhere && options[i].yaml &&
		    (bytes_eq(key->text, bytes_str(options[i].yaml)) ||
		     (last && bytes_eq(key->text, bytes_str(last + 1)))))
			elsewhere = options[i].yaml;
	}
	got = describe(NULL, key, buf, sizeof(buf));
	if (!*prefix && bytes_eq(key->text, BYTES_LITERAL("file_format")))
		mistake(r, key->line, "expected Sonde's own settings, got an OpenTelemetry SDK configuration (%s)",
			got);
	else if (s.best.n)
		mistake(r, key->line, "expected a setting, got %s; did you mean %s%.*s?", got, prefix, (int)s.best.n,
			s.best.p);
	else if (elsewhere)
		mistake(r, key->line, "expected a setting, got %s; did you mean %s?", got, elsewhere);
	else
		mistake(r, key->line, "expected a setting%s%.*s, got %s, which is none", *prefix ? " of " : "",
			*prefix ? (int)strlen(prefix) - 1 : 0, prefix, got);
}

static bool repeated(const struct node *map, const struct node *key)
{
	for (const struct node *k = map->child; k != key; k = k->next->next)
		if (k->kind == NODE_SCALAR && bytes_eq(k->text, key->text))
			return true;
	return false;
}

/* The depth is bounded by the table: only the paths of sections are walked into. */
static void walk(struct reading *r, const struct node *map, const char *prefix)
{
	for (const struct node *key = map->child; key && key->next; key = key->next->next) {
		const struct node *value = key->next;
		char path[PATH_MAX_LENGTH], got[96];
		size_t option;
		bool section;

		snprintf(path, sizeof(path), "%s%s", prefix, key->kind == NODE_SCALAR ? key->text.p : "");
		option = find_option(path);
		section = option == options_n && key->text.n < SUGGEST_MAX && is_section(path);
		if (key->kind != NODE_SCALAR || !key->text.n || bytes_find(key->text, '.') < key->text.n ||
		    (option == options_n && !section)) {
			unknown_key(r, key, prefix);
			continue;
		}
		if (repeated(map, key)) {
			mistake(r, key->line, "expected %s once, got it again", path);
			continue;
		}
		if (option < options_n) {
			r->found[option] = value;
		} else if (value->kind == NODE_MAPPING) {
			snprintf(path + strlen(path), sizeof(path) - strlen(path), ".");
			walk(r, value, path);
		} else if (!is_null(value)) {
			mistake(r, value->line, "%s: expected settings below it, got %s", path,
				describe(NULL, value, got, sizeof(got)));
		}
	}
}

static int by_line(const void *a, const void *b)
{
	const struct mistake *x = a, *y = b;

	if (x->line != y->line)
		return x->line < y->line ? -1 : 1;
	return x->order < y->order ? -1 : 1;
}

static int report(struct reading *r, struct complaints *to)
{
	if (r->mistakes_n)
		qsort(r->mistakes, r->mistakes_n, sizeof(*r->mistakes), by_line);
	for (size_t i = 0; i < r->mistakes_n; i++) {
		if (!r->error)
			complain(to, "%s:%u: %s", r->name, r->mistakes[i].line, r->mistakes[i].text);
		free(r->mistakes[i].text);
	}
	free(r->mistakes);
	free(r->found);
	if (r->unseen && !r->error)
		complain(to, "%s: %zu more mistakes like these", r->name, r->unseen);
	return r->error ? r->error : to->count;
}

int config_load_yaml_bytes(struct config *c, const char *name, struct bytes in, config_complain_fn *fn, void *context)
{
	struct reading r = { .state = config_state(c), .name = name };
	struct complaints to = { .fn = fn, .context = context };
	struct document d;
	char error[256], got[96];
	unsigned line;
	int e;

	if (in.n > DOCUMENT_BYTES_MAX) {
		complain(&to, "%s: expected a configuration of at most 1 MiB, got a larger file", name);
		return to.count;
	}
	e = document_load(in, &d, &line, error, sizeof(error));
	if (e == -EINVAL) {
		complain(&to, "%s:%u: %s", name, line, error);
		return to.count;
	}
	if (e < 0)
		return e;
	r.found = calloc(options_n, sizeof(*r.found));
	if (!r.found)
		r.error = -ENOMEM;
	else if (d.root && d.root->kind == NODE_MAPPING)
		walk(&r, d.root, "");
	else if (d.root && !is_null(d.root))
		mistake(&r, d.root->line, "expected settings such as log_level: info, got %s",
			describe(NULL, d.root, got, sizeof(got)));
	for (size_t i = 0; i < options_n && !r.error; i++)
		if (r.found[i])
			apply(&r, &options[i], r.found[i]);
	document_free(&d);
	return report(&r, &to);
}

int config_load_yaml(struct config *c, const char *path, config_complain_fn *fn, void *context)
{
	_cleanup_free_ char *in = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t n = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	in = malloc(DOCUMENT_BYTES_MAX + 1);
	if (!in)
		return -ENOMEM;
	while (n <= DOCUMENT_BYTES_MAX) {
		ssize_t got = read(fd, in + n, DOCUMENT_BYTES_MAX + 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return config_load_yaml_bytes(c, path, bytes_of(in, n), fn, context);
}
