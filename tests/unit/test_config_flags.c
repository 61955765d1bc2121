/* SPDX-License-Identifier: Apache-2.0 */
/* Flags, and what wins over what when all sources speak. */
#include "config_test.h"

#include <unistd.h>

#include "config/suggest.h"

/* Arguments until NULL, in a copy that may be reordered. */
struct args {
	char *v[16];
	int n;
};

static struct args arguments(char **list)
{
	struct args a = { 0 };

	for (; list[a.n]; a.n++)
		a.v[a.n] = list[a.n];
	return a;
}

#define ARGS(...) arguments((char *[]){ __VA_ARGS__, NULL })

static int load_flags(struct config *c, struct args *a, int *ret_rest)
{
	lines.n = 0;
	return config_load_flags(c, a->n, a->v, ret_rest, keep_line, &lines);
}

static void test_both_forms(void **state)
{
	struct args a =
		ARGS("--duration", "90", "--format=json", "--backend", "fentry", "--record=/r", "--color=always");
	struct config *c = config_new();
	int rest = -1;

	(void)state;
	assert_int_equal(load_flags(c, &a, &rest), 0);
	assert_int_equal(rest, 7);
	assert_int_equal(c->duration_s, 90);
	assert_int_equal(c->format, FORMAT_JSON);
	assert_string_equal(c->backend, "fentry");
	assert_string_equal(c->record, "/r");
	assert_int_equal(c->colour, 1);
	a = ARGS("--duration=2m", "--backend=auto", "--duration", "1h");
	assert_int_equal(load_flags(c, &a, &rest), 0);
	assert_int_equal(c->duration_s, 3600);
	assert_null(c->backend);
	config_free(c);
}

static void test_operands_move_behind(void **state)
{
	struct args a = ARGS("one", "--duration", "5", "two", "--", "--three");
	struct config *c = config_new();
	int rest = -1;

	(void)state;
	assert_int_equal(load_flags(c, &a, &rest), 0);
	assert_int_equal(rest, 3);
	assert_string_equal(a.v[3], "one");
	assert_string_equal(a.v[4], "two");
	assert_string_equal(a.v[5], "--three");
	/* a second reading sees the same */
	assert_int_equal(load_flags(c, &a, &rest), 0);
	assert_int_equal(rest, 3);
	assert_string_equal(a.v[5], "--three");
	a.n = 0;
	assert_int_equal(load_flags(c, &a, &rest), 0);
	assert_int_equal(rest, 0);
	config_free(c);
}

static void test_mistakes(void **state)
{
	struct args a =
		ARGS("--duraton=5", "--duration=x", "--format", "xml", "-v", "--color=", "--xyzzyx", "--record");
	struct config *c = config_new();
	int rest;

	(void)state;
	assert_int_equal(load_flags(c, &a, &rest), 7);
	assert_line(0, "\"--duraton=5\": no such flag; did you mean --duration?");
	assert_line(1, "--duration: expected a number of seconds, or a time such as 5m, up to 366 days, got \"x\"");
	assert_line(2, "--format: expected one of text, json, got \"xml\"");
	assert_line(3, "\"-v\": no such flag; --help lists them");
	assert_line(4, "--color: expected one of auto, always, never, got \"\"");
	assert_line(5, "\"--xyzzyx\": no such flag; --help lists them");
	assert_line(6, "--record: expected the name of a file behind it, got nothing");
	assert_int_equal(c->duration_s, 0);
	config_free(c);
}

static void test_flags_of_other_commands(void **state)
{
	struct args a = ARGS("--record", "x", "--format", "json");
	struct config *c = config_new();
	int rest;

	(void)state;
	lines.n = 0;
	assert_int_equal(flags_load(c, COMMAND_REPLAY, a.n, a.v, &rest, keep_line, &lines), 1);
	assert_line(0, "--record: a flag of 'sonde run' only");
	assert_null(c->record);
	assert_int_equal(rest, 4);
	config_free(c);
}

static void make_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* The same setting in four sources: each layer wins over the ones below it. */
static void test_precedence(void **state)
{
	char path[] = "/tmp/sonde-test-XXXXXX", other[] = "/tmp/sonde-test-XXXXXX", config_var[64];
	char *env[] = { config_var, "OTEL_LOG_LEVEL=debug", "OTEL_EXPORTER_OTLP_ENDPOINT=http://env", NULL };
	struct config *c = config_new();
	struct args a;
	int rest;

	(void)state;
	make_file(path,
		  "log_level: error\nduration: 10s\nbackend: kprobe\nlimits: {connections: 999}\n"
		  "otlp: {endpoint: 'http://yaml', traces: {endpoint: 'http://yaml/t'}}\nconsole: {format: json}\n");
	make_file(other, "duration: 77s\n");
	snprintf(config_var, sizeof(config_var), "OTEL_CONFIG_FILE=%s", other);
	lines.n = 0;
	a = ARGS("--backend=syscall", "--config", path);
	assert_int_equal(config_load(c, COMMAND_RUN, a.n, a.v, env, &rest, keep_line, keep_line, &lines), 0);
	assert_int_equal(lines.n, 0);
	assert_int_equal(c->max_conns, 999);	    /* YAML over default */
	assert_int_equal(c->log_level, 3);	    /* environment over YAML */
	assert_string_equal(c->backend, "syscall"); /* flag over YAML */
	assert_int_equal(c->duration_s, 10);	    /* --config over OTEL_CONFIG_FILE */
	assert_string_equal(c->traces.endpoint, "http://env/v1/traces");
	assert_string_equal(c->metrics.endpoint, "http://env/v1/metrics");
	assert_false(c->console);
	config_free(c);

	/* without --config the variable names the file; --format turns the console on beside an endpoint */
	c = config_new();
	a = ARGS("--format=text");
	assert_int_equal(config_load(c, COMMAND_RUN, a.n, a.v, env, &rest, keep_line, keep_line, &lines), 0);
	assert_int_equal(c->duration_s, 77);
	assert_true(c->console);
	config_free(c);
	unlink(path);
	unlink(other);
}

/* One run shows the mistakes of all sources; those of the environment are only warnings. */
static void test_mistakes_of_all_sources(void **state)
{
	char path[] = "/tmp/sonde-test-XXXXXX";
	char *env[] = { "OTEL_LOG_LEVEL=loud", NULL };
	struct config *c = config_new();
	struct args a;
	int rest;

	(void)state;
	make_file(path, "a: 1\nb: 2\n");
	lines.n = 0;
	a = ARGS("--config", path, "x", "--duration");
	assert_int_equal(config_load(c, COMMAND_RUN, a.n, a.v, env, &rest, keep_line, keep_line, &lines), 3);
	assert_int_equal(lines.n, 4);
	assert_line(0, path);
	assert_line(2, "OTEL_LOG_LEVEL: ");
	assert_line(3, "--duration: expected a number of seconds, or a time such as 5m, up to 366 days behind it");
	config_free(c);
	unlink(path);

	c = config_new();
	lines.n = 0;
	a = ARGS("--config", path);
	assert_int_equal(config_load(c, COMMAND_RUN, a.n, a.v, env, &rest, keep_line, keep_line, &lines), 1);
	assert_line(0, path);
	assert_non_null(strstr(lines.v[0], "cannot be read: No such file or directory"));
	config_free(c);
}

static void nearest(const char *word, const char *a, const char *b, const char *expected)
{
	struct suggestion s = suggest_for(bytes_str(word));

	suggest_offer(&s, bytes_str(a));
	suggest_offer(&s, bytes_str(b));
	if (!bytes_eq(s.best, bytes_str(expected)))
		fail_msg("%s: expected '%s', got '%.*s'", word, expected, (int)s.best.n, s.best.p);
}

static void test_suggestions(void **state)
{
	char longer[200];

	(void)state;
	nearest("rnu", "run", "check", "run");
	nearest("runn", "check", "run", "run");
	nearest("chekc", "run", "check", "check");
	nearest("prot", "root", "port", "port"); /* neighbours swapped are one slip, not two */
	nearest("dur", "record", "duration", "duration");
	nearest("endpont", "endpoint", "end", "endpoint");
	nearest("x", "run", "check", "");
	nearest("ab", "cd", "ce", "");
	nearest("", "run", "check", "");
	nearest("completely", "run", "check", "");
	memset(longer, 'a', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	nearest(longer, "run", longer, "");
	nearest("run", longer, "run", "run");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_forms),  cmocka_unit_test(test_operands_move_behind),
		cmocka_unit_test(test_mistakes),    cmocka_unit_test(test_flags_of_other_commands),
		cmocka_unit_test(test_precedence),  cmocka_unit_test(test_mistakes_of_all_sources),
		cmocka_unit_test(test_suggestions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
