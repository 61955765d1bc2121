/* SPDX-License-Identifier: Apache-2.0 */
/* A recording through the whole worker: what comes out as JSON, what the books say, and what damaged files do. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "../tools/recording.h"
#include "config/config.h"
#include "util/ledger.h"
#include "worker/worker.h"

struct run {
	struct config *config;
	struct ledger *ledger;
	int status;
	char *out; /* what it printed to standard output */
};

/* Replays fd with standard output in a file; spans as JSON lines. */
static void replay(struct run *r, int fd)
{
	struct worker_handles h = {
		.channel = -1, .ring = -1, .histograms = -1, .counters = -1, .record = -1, .replay = fd
	};
	int to = memfd_create("out", MFD_CLOEXEC), kept = dup(STDOUT_FILENO);
	off_t n;

	r->config = config_new();
	assert_non_null(r->config);
	r->config->console = true;
	r->config->format = FORMAT_JSON;
	assert_int_equal(config_finish(r->config, NULL, NULL), 0);
	r->ledger = ledger_new();
	fflush(stdout);
	dup2(to, STDOUT_FILENO);
	lseek(fd, 0, SEEK_SET);
	r->status = worker_main(r->config, r->ledger, &h);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	n = lseek(to, 0, SEEK_END);
	r->out = calloc(1, (size_t)n + 1);
	assert_non_null(r->out);
	assert_int_equal(pread(to, r->out, (size_t)n, 0), n);
	close(to);
}

static void end(struct run *r)
{
	config_free(r->config);
	munmap(r->ledger, sizeof(*r->ledger));
	free(r->out);
}

/* Messages about damaged files are meant to be there; thousands of them are not meant to be seen. */
static void quiet(bool on)
{
	static int kept = -1;
	int null;

	if (on) {
		kept = dup(STDERR_FILENO);
		null = open("/dev/null", O_WRONLY | O_CLOEXEC);
		dup2(null, STDERR_FILENO);
		close(null);
	} else {
		dup2(kept, STDERR_FILENO);
		close(kept);
	}
}

static int shop_file(void)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);

	assert_true(fd >= 0);
	rec_write_shop(fd);
	return fd;
}

/* The span of that name among the lines. */
static json_t *span(const char *lines, const char *name)
{
	for (const char *p = lines; *p && strncmp(p, "{\"summary\"", 10) != 0; p = strchr(p, '\n') + 1) {
		json_t *j = json_loadb(p, (size_t)(strchr(p, '\n') - p), 0, NULL);

		assert_non_null(j);
		if (strcmp(json_string_value(json_object_get(j, "name")), name) == 0)
			return j;
		json_decref(j);
	}
	fail_msg("no span %s in:\n%s", name, lines);
	return NULL;
}

static const char *text(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s ? s : "(none)";
}

static const char *attribute(const json_t *j, const char *key)
{
	return text(json_object_get(j, "attributes"), key);
}

/* Lines of the output, but for the summary at its end. */
static unsigned spans_in(const char *out)
{
	unsigned n = 0;

	for (const char *p = out; *p; p = strchr(p, '\n') + 1)
		n += strncmp(p, "{\"summary\"", 10) != 0;
	return n;
}

static json_t *summary(const char *out)
{
	const char *p = strstr(out, "{\"summary\"");
	json_t *j = p ? json_loads(p, 0, NULL) : NULL;

	assert_non_null(j);
	return j;
}

/* The histograms of the recording, under the names that the samples gave them. */
static void check_summary(const char *out)
{
	json_t *j = summary(out), *s = json_object_get(j, "summary"), *row;
	const char *const statements[] = { "SELECT orders", "INSERT stock" };
	int errors = 0;

	assert_int_equal(json_integer_value(json_object_get(json_object_get(s, "spans"), "seen")), 3);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(s, "spans"), "printed")), 3);
	assert_int_equal(json_object_size(json_object_get(json_object_get(s, "spans"), "dropped")), 0);
	assert_int_equal(json_array_size(json_object_get(s, "routes")), 1);
	assert_int_equal(json_array_size(json_object_get(s, "statements")), 2);
	for (size_t i = 0; i < 2; i++) {
		size_t found = 0;

		for (size_t k = 0; k < 2; k++) {
			row = json_array_get(json_object_get(s, "statements"), k);
			if (strcmp(text(row, "statement"), statements[i]) != 0)
				continue;
			found++;
			errors += (int)json_integer_value(json_object_get(row, "errors"));
			assert_int_equal(json_integer_value(json_object_get(row, "count")), 1);
			assert_string_equal(text(row, "service"), "shop");
		}
		assert_int_equal(found, 1);
	}
	assert_int_equal(errors, 1);
	row = json_array_get(json_object_get(s, "routes"), 0);
	assert_float_equal(json_number_value(json_object_get(row, "total_ms")), 16, 0.001);
	json_decref(j);
}

static void test_shop(void **state)
{
	json_t *get, *select, *insert;
	int fd = shop_file();
	struct run r;

	(void)state;
	replay(&r, fd);
	assert_int_equal(r.status, 0);
	assert_int_equal(spans_in(r.out), 3);
	get = span(r.out, "GET");
	select = span(r.out, "SELECT orders");
	insert = span(r.out, "INSERT stock");
	assert_string_equal(text(get, "trace_id"), "0af7651916cd43dd8448eb211c80319c");
	assert_string_equal(text(get, "parent_span_id"), "b7ad6b7169203331");
	assert_string_equal(text(get, "kind"), "server");
	assert_string_equal(text(get, "service"), "shop");
	assert_string_equal(text(get, "start_unix_nano"), "1790001000004000000");
	assert_string_equal(text(get, "end_unix_nano"), "1790001000020000000");
	assert_string_equal(text(select, "parent_span_id"), text(get, "span_id"));
	assert_string_equal(text(insert, "parent_span_id"), text(get, "span_id"));
	assert_string_equal(text(select, "trace_id"), text(get, "trace_id"));
	assert_string_equal(text(select, "start_unix_nano"), "1790001000005000000");
	assert_string_equal(attribute(select, "db.query.text"), "SELECT * FROM orders WHERE id = ? AND email = ?");
	assert_string_equal(attribute(select, "server.address"), "10.1.2.3");
	assert_string_equal(text(insert, "status"), "error");
	assert_string_equal(attribute(insert, "error.type"), "23505");
	assert_string_equal(attribute(insert, "db.response.status_code"), "23505");
	assert_null(strstr(r.out, "geheim"));
	assert_null(strstr(r.out, "ann@example.com"));
	assert_int_equal(ledger_get(r.ledger, USER_spans_received), 3);
	assert_int_equal(ledger_get(r.ledger, USER_spans_printed), 3);
	assert_int_equal(ledger_get(r.ledger, USER_undecodable), 0);
	json_decref(get);
	json_decref(select);
	json_decref(insert);
	check_summary(r.out);
	end(&r);
	close(fd);
}

/* Every way of cutting the file off: an error and what came before, never more. */
static void test_cut_anywhere(void **state)
{
	int whole = shop_file(), fd = memfd_create("cut", MFD_CLOEXEC);
	off_t size = lseek(whole, 0, SEEK_END);
	char *p = malloc((size_t)size);

	(void)state;
	assert_int_equal(pread(whole, p, (size_t)size, 0), size);
	quiet(true);
	for (off_t n = 0; n < size; n += n < 300 ? 1 : 37) {
		struct run r;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, p, (size_t)n, 0), n);
		replay(&r, fd);
		assert_true(r.status == 1 || spans_in(r.out) <= 3);
		end(&r);
	}
	quiet(false);
	free(p);
	close(fd);
	close(whole);
}

/* One byte changed, anywhere: never a crash, and the books still agree. */
static void test_flipped_bytes(void **state)
{
	int whole = shop_file(), fd = memfd_create("flip", MFD_CLOEXEC);
	off_t size = lseek(whole, 0, SEEK_END);
	char *p = malloc((size_t)size);

	(void)state;
	assert_int_equal(pread(whole, p, (size_t)size, 0), size);
	assert_int_equal(ftruncate(fd, size), 0);
	quiet(true);
	for (off_t at = 0; at < size; at += 11) {
		struct run r;

		p[at] ^= 0x5a;
		assert_int_equal(pwrite(fd, p, (size_t)size, 0), size);
		p[at] ^= 0x5a;
		replay(&r, fd);
		assert_true(spans_in(r.out) == ledger_get(r.ledger, USER_spans_printed));
		end(&r);
	}
	quiet(false);
	free(p);
	close(fd);
	close(whole);
}

static void test_not_a_recording(void **state)
{
	int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	struct run r;

	(void)state;
	quiet(true);
	replay(&r, fd);
	quiet(false);
	assert_int_equal(r.status, 2);
	assert_string_equal(r.out, "");
	end(&r);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shop),
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_flipped_bytes),
		cmocka_unit_test(test_not_a_recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
