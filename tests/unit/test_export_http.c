/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export/http_headers.h"

#define MS 1000000ULL

static int count_header(void *context, const char *line)
{
	(void)line;
	++*(int *)context;
	return 0;
}

static void test_header_list(void **state)
{
	int n = 0;

	(void)state;
	assert_int_equal(http_headers("a=1, b=2 ,,c=x=y", count_header, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(http_headers("", count_header, &n), 0);
	assert_int_equal(http_headers("100%=a", count_header, &n), 0); /* '%' is a token character */
	assert_int_equal(http_headers("a=100%", count_header, &n), 0);
	assert_int_equal(http_headers("=1", count_header, &n), -EINVAL);
	assert_int_equal(http_headers("a=%00", count_header, &n), -EINVAL);
}

static void test_retry_after_values(void **state)
{
	/* 784111777 is the date that RFC 9110 (5.6.7) writes in three ways */
	const int64_t then = 784111777;

	(void)state;
	assert_int_equal(http_retry_after("", then), 0);
	assert_int_equal(http_retry_after("120", then), 120000 * MS);
	assert_int_equal(http_retry_after("  7", then), 7000 * MS);
	assert_int_equal(http_retry_after("0", then), 0);
	assert_int_equal(http_retry_after("-5", then), 0);
	assert_int_equal(http_retry_after("5 apples", then), 5000 * MS);
	assert_int_equal(http_retry_after("5x", then), 0);
	assert_int_equal(http_retry_after("99999999999999999999999", then), 3600000 * MS);
	assert_int_equal(http_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", then - 30), 30000 * MS);
	assert_int_equal(http_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", then - 30), 30000 * MS);
	assert_int_equal(http_retry_after("Sun Nov  6 08:49:37 1994", then - 30), 30000 * MS);
	assert_int_equal(http_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", then + 30), 0);
	assert_int_equal(http_retry_after("Sun, 06 Nov 2994 08:49:37 GMT", then), 3600000 * MS);
	assert_int_equal(http_retry_after("soon", then), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_header_list),
					    cmocka_unit_test(test_retry_after_values) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
