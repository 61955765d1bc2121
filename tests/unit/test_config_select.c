/* SPDX-License-Identifier: Apache-2.0 */
#include "config_test.h"

#include <time.h>

enum { SERVICE_MAX = 64 };

static const uint16_t ports[] = { 8000, 9000 };

static struct config_target shop(void)
{
	return (struct config_target){
		.executable = BYTES_LITERAL("/usr/bin/python3.11"),
		.command = BYTES_LITERAL("python3 -m gunicorn shop.wsgi --bind :8000"),
		.container_id = BYTES_LITERAL("4f1c9a0011223344556677889900aabbccddeeff00112233445566778899aabb"),
		.container_name = BYTES_LITERAL("web-1"),
		.pid = 4242,
		.ports = ports,
		.ports_n = 2,
	};
}

/* Whether the rules in this YAML select the shop; *ret_service is copied out. */
static bool selects(const char *yaml, const struct config_target *t, char *ret_service)
{
	struct config *c = config_new();
	const char *service = "untouched";
	bool yes;

	assert_int_equal(load_yaml(c, yaml), 0);
	yes = config_selects(c, t, &service);
	snprintf(ret_service, SERVICE_MAX, "%s", service ? service : "");
	config_free(c);
	return yes;
}

struct rule_case {
	const char *field, *value;
	bool yes;
};

static void test_fields(void **state)
{
	static const struct rule_case cases[] = {
		{ "executable", "python3*", true },
		{ "executable", "python3", false },
		{ "executable", "/usr/bin/python3.11", true },
		{ "executable", "/usr/*", true },
		{ "executable", "/opt/*", false },
		{ "executable", "bin*", false },
		{ "executable", "pytho[a-n]3.1[0-2]", true },
		{ "executable", "pytho[!a-n]3.11", false },
		{ "executable", "python3?11", true },
		{ "command", "*gunicorn*", true },
		{ "command", "gunicorn", false },
		{ "command", "python3 *:8000", true },
		{ "container", "web-*", true },
		{ "container", "web", false },
		{ "container", "4f1c9a001122", true },
		{ "container", "4f1c9a0011", false }, /* too short to mean an id */
		{ "container", "4f1c9a*", true },
		{ "container", "4f1c9a001123", false },
		{ "pid", "4242", true },
		{ "pid", "4243", false },
		{ "port", "9000", true },
		{ "port", "9001", false },
	};
	struct config_target t = shop(), nothing = { .pid = 1 };
	char yaml[128], service[SERVICE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		snprintf(yaml, sizeof(yaml), "select: {include: [{%s: '%s'}]}", cases[i].field, cases[i].value);
		if (selects(yaml, &t, service) != cases[i].yes)
			fail_msg("%s: %s", cases[i].field, cases[i].value);
		assert_string_equal(service, "");
		/* what is not known matches no rule that needs it */
		assert_false(selects(yaml, &nothing, service));
		snprintf(yaml, sizeof(yaml), "select: {exclude: [{%s: '%s'}]}", cases[i].field, cases[i].value);
		assert_int_equal(selects(yaml, &t, service), !cases[i].yes);
	}
	assert_false(selects("select: {include: [{executable: '*'}]}", &nothing, service));
}

static void test_rules_together(void **state)
{
	struct config_target t = shop();
	char service[SERVICE_MAX];

	(void)state;
	assert_true(selects("", &t, service));
	assert_string_equal(service, "");
	/* every field of a rule, any of the rules */
	assert_false(selects("select: {include: [{port: 8000, executable: nginx}]}", &t, service));
	assert_true(selects("select: {include: [{port: 1}, {port: 8000, executable: python*}]}", &t, service));
	/* the first rule that matches and has a name gives it */
	assert_true(selects("select: {include: [{port: 1, service: no}, {port: 8000}, {pid: 4242, service: shop},"
			    " {port: 9000, service: late}]}",
			    &t, service));
	assert_string_equal(service, "shop");
	/* exclude is stronger, and what is left out has no name */
	assert_false(
		selects("select: {include: [{port: 8000, service: a}], exclude: [{command: '*shop*'}]}", &t, service));
	assert_string_equal(service, "");
}

/* fnmatch() takes '[' alone as a letter, so a forgotten bracket would silently match nothing that was meant. */
static void test_bad_globs(void **state)
{
	static const char *const good[] = { "a", "*", "[a]", "[]a]", "[!]a]", "\\[", "a\\\\", "[a-z]*[0-9]", "", "]" };
	static const char *const bad[] = { "[", "[a", "[]", "[!]", "a[b", "[a][", "a\\", "[a]\\" };

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(glob_valid(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(glob_valid(bad[i]));
}

/* The other side of a glob is a stranger's: long, with NULs, made to be slow. */
static void test_hostile_candidates(void **state)
{
	static char text[1 << 16];
	struct config_target t = { .command = bytes_of(text, sizeof(text)),
				   .executable = bytes_of(text, sizeof(text)) };
	char service[SERVICE_MAX];
	clock_t start;

	(void)state;
	memset(text, 'a', sizeof(text));
	start = clock();
	assert_false(selects("select: {include: [{command: '*a*a*a*a*a*a*a*[a]*a*?*a*b'}]}", &t, service));
	assert_true(clock() - start < CLOCKS_PER_SEC);
	memset(text, 0, sizeof(text));
	assert_false(selects("select: {include: [{command: 'a*'}]}", &t, service));
	memset(text, 0xff, sizeof(text));
	assert_false(selects("select: {include: [{executable: 'a*'}]}", &t, service));
	memset(text, '/', sizeof(text));
	assert_false(selects("select: {include: [{executable: 'a*'}]}", &t, service));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_rules_together),
		cmocka_unit_test(test_bad_globs),
		cmocka_unit_test(test_hostile_candidates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
