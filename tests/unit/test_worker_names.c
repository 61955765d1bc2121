/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "worker/names.h"

static struct name read_back[4];
static size_t read_n;

static void take(void *context, struct name *n)
{
	(void)context;
	assert_true(read_n < 4);
	read_back[read_n++] = *n;
}

static void forget(void)
{
	while (read_n)
		attrs_free(&read_back[--read_n].attrs);
}

static int file_with_two(void)
{
	int fd = memfd_create("names", 0);
	struct name n = { .key = { .operation = 7, .service = 3, .status = 200 },
			  .metric = METRIC_DB_CLIENT_OPERATION_DURATION };

	attrs_str(&n.attrs, ATTR_DB_QUERY_SUMMARY, BYTES_LITERAL("SELECT orders"), 0);
	attrs_int(&n.attrs, ATTR_SERVER_PORT, 5433);
	assert_int_equal(names_write(fd, &n), 0);
	attrs_bool(&n.attrs, ATTR_OTEL_METRIC_OVERFLOW, true);
	n.key.operation = 8;
	n.ignore = true;
	assert_int_equal(names_write(fd, &n), 0);
	attrs_free(&n.attrs);
	return fd;
}

static void test_what_is_written_is_read(void **state)
{
	int fd = file_with_two();

	(void)state;
	names_read(fd, take, NULL);
	assert_int_equal(read_n, 2);
	assert_int_equal(read_back[0].key.operation, 7);
	assert_int_equal(read_back[0].key.status, 200);
	assert_false(read_back[0].ignore);
	assert_true(
		bytes_eq(attrs_find(&read_back[0].attrs, ATTR_DB_QUERY_SUMMARY)->s, BYTES_LITERAL("SELECT orders")));
	assert_int_equal(attrs_find(&read_back[0].attrs, ATTR_SERVER_PORT)->i, 5433);
	assert_true(read_back[1].ignore);
	assert_true(attrs_find(&read_back[1].attrs, ATTR_OTEL_METRIC_OVERFLOW)->b);
	/* keys must outlive the memory of the attributes they came with */
	assert_ptr_equal(attrs_find(&read_back[0].attrs, ATTR_SERVER_PORT)->key,
			 attrs_find(&read_back[1].attrs, ATTR_SERVER_PORT)->key);
	forget();
	close(fd);
}

static void test_cut_or_broken_is_no_harm(void **state)
{
	int fd = file_with_two();
	char b[4096];
	ssize_t n = pread(fd, b, sizeof(b), 0);

	(void)state;
	for (ssize_t cut = 0; cut < n; cut++) {
		assert_int_equal(ftruncate(fd, cut), 0);
		names_read(fd, take, NULL);
		assert_true(read_n <= 1);
		forget();
	}
	for (ssize_t i = 0; i < n; i++) {
		char was = b[i];

		b[i] = (char)~was;
		assert_int_equal(pwrite(fd, b, (size_t)n, 0), n);
		names_read(fd, take, NULL);
		forget();
		b[i] = was;
	}
	close(fd);
}

static void test_no_file(void **state)
{
	struct name n = { 0 };

	(void)state;
	assert_int_equal(names_write(-1, &n), 0);
	names_read(-1, take, NULL);
	assert_int_equal(read_n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written_is_read),
		cmocka_unit_test(test_cut_or_broken_is_no_harm),
		cmocka_unit_test(test_no_file),
	};

	return cmocka_run_group_tests_name("worker_names", tests, NULL, NULL);
}
