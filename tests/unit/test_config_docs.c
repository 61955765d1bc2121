/* SPDX-License-Identifier: Apache-2.0 */
/*
 * docs/configuration.md holds the table of options exactly as options[] has it, and docs/sonde.example.yaml loads
 * without complaint and names every setting. SONDE_UPDATE_DOCS=1 writes the tables anew instead of comparing them.
 */
#include "config_test.h"

#include "util/buf.h"
#include "util/cleanup.h"

static char *read_file(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 18);

	if (!f)
		fail_msg("%s: not found; tests run in the root of the source", path);
	assert_true(fread(text, 1, (1 << 18) - 1, f) < (1 << 18) - 1);
	return text;
}

/* A default as a reader wants it: a dash where there is none. */
static void add_cell(struct buf *b, const char *text)
{
	if (text)
		buf_printf(b, " `%s` |", text);
	else
		buf_str(b, " - |");
}

static void add_values(struct buf *b, const struct option *o)
{
	char expect[EXPECT_MAX];

	option_expect(o, SOURCE_YAML, expect, sizeof(expect));
	buf_printf(b, " %s |", expect);
}

/* The tables as they belong between the markers. */
static void make_tables(struct buf *b)
{
	buf_str(b, "| YAML | environment | flag | takes | default | what it is |\n|---|---|---|---|---|---|\n");
	for (size_t i = 0; i < options_n; i++) {
		const struct option *o = &options[i];

		buf_char(b, '|');
		add_cell(b, o->yaml);
		add_cell(b, o->env);
		if (o->flag)
			buf_printf(b, " `--%s` |", o->flag);
		else
			buf_str(b, " - |");
		add_values(b, o);
		add_cell(b, o->fallback);
		buf_printf(b, " %s |\n", o->help);
	}
	buf_str(b, "\n| field of a rule | what it is |\n|---|---|\n");
	for (size_t i = 0; i < rule_fields_n; i++)
		buf_printf(b, "| `%s` | %s |\n", rule_fields[i].name, rule_fields[i].help);
}

static void test_tables(void **state)
{
	static const char path[] = "docs/configuration.md",
			  begin[] = "<!-- options: made from user/config/options.c -->\n",
			  end[] = "<!-- end of options -->\n";
	_cleanup_free_ char *doc = read_file(path);
	_cleanup_(buf_free) struct buf tables = { 0 };
	char *from = strstr(doc, begin), *to;

	(void)state;
	make_tables(&tables);
	assert_false(tables.failed);
	assert_non_null(from);
	from += strlen(begin);
	to = strstr(from, end);
	assert_non_null(to);
	if (getenv("SONDE_UPDATE_DOCS")) {
		_cleanup_fclose_ FILE *f = fopen(path, "w");

		assert_non_null(f);
		fprintf(f, "%.*s%s%s", (int)(from - doc), doc, tables.p, to);
		return;
	}
	if ((size_t)(to - from) != tables.n || memcmp(from, tables.p, tables.n) != 0)
		fail_msg("%s is not what user/config/options.c says: run this test with SONDE_UPDATE_DOCS=1", path);
}

static void test_example(void **state)
{
	_cleanup_free_ char *text = read_file("docs/sonde.example.yaml"), *all = NULL;
	struct config *c = config_new(), *plain = config_new();
	size_t n = 0;

	(void)state;
	if (load_yaml(c, text) != 0)
		fail_msg("%s", lines.v[0]);
	assert_int_equal(finish(c), 0);
	assert_int_equal(finish(plain), 0);
	/* as it stands it changes nothing that matters: whoever copies it gets the defaults */
	assert_int_equal(c->include_n + c->exclude_n, 0);
	assert_null(c->traces.endpoint);
	assert_int_equal(c->max_conns, plain->max_conns);
	assert_int_equal(c->ring_bytes, plain->ring_bytes);
	config_free(plain);
	config_free(c);

	/* with every setting that is commented out ("#key", without a space) it still loads, and does set them */
	all = calloc(1, strlen(text) + 1);
	for (const char *p = text; *p;) {
		const char *eol = strchr(p, '\n');
		size_t len = eol ? (size_t)(eol - p) + 1 : strlen(p), indent = strspn(p, " ");

		memcpy(all + n, p, indent);
		n += indent;
		if (p[indent] == '#' && p[indent + 1] != ' ' && p[indent + 1] != '\n')
			indent++;
		memcpy(all + n, p + (indent), len - indent);
		n += len - indent;
		p += len;
	}
	c = config_new();
	if (load_yaml(c, all) != 0)
		fail_msg("with all settings: %s", lines.v[0]);
	assert_int_equal(finish(c), 0);
	assert_true(c->include_n >= 2 && c->exclude_n >= 1);
	assert_non_null(c->traces.endpoint);
	config_free(c);
	for (size_t i = 0; i < options_n; i++) {
		const char *name = options[i].yaml ? strrchr(options[i].yaml, '.') : NULL;
		char key[64];

		if (!options[i].yaml || options[i].narrow)
			continue;
		snprintf(key, sizeof(key), "%s:", name ? name + 1 : options[i].yaml);
		if (!strstr(text, key))
			fail_msg("docs/sonde.example.yaml does not show %s", options[i].yaml);
	}
}

/* Rows that cannot work: a default that its own limits refuse, two rows with one name, a flag without a command. */
static void test_table_is_sound(void **state)
{
	struct config *c = config_new();

	(void)state;
	assert_non_null(c);
	for (size_t i = 0; i < options_n; i++) {
		const struct option *o = &options[i];

		assert_non_null(o->help);
		assert_true(o->size > 0);
		assert_true(o->yaml || o->env || o->flag);
		assert_int_equal(o->flag != NULL, o->commands != 0);
		assert_int_equal(o->flag != NULL, o->argument != NULL);
		for (size_t j = 0; j < i; j++) {
			assert_false(o->yaml && options[j].yaml && strcmp(o->yaml, options[j].yaml) == 0);
			assert_false(o->env && options[j].env && strcmp(o->env, options[j].env) == 0);
			assert_false(o->flag && options[j].flag && strcmp(o->flag, options[j].flag) == 0);
		}
	}
	config_free(c);
	config_free(NULL);
}

static void test_help(void **state)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	(void)state;
	config_print_help(f);
	fclose(f);
	for (size_t i = 0; i < options_n; i++) {
		char flag[64];

		snprintf(flag, sizeof(flag), "  --%s ", options[i].flag ? options[i].flag : "config");
		assert_non_null(strstr(text, flag));
		if (options[i].yaml && !options[i].narrow)
			assert_non_null(strstr(text, options[i].yaml));
	}
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		if (strlen(line) > 125)
			fail_msg("too long for a terminal: %s", line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_example),
		cmocka_unit_test(test_table_is_sound),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
