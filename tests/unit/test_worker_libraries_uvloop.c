/* SPDX-License-Identifier: Apache-2.0 */
/* uvloop is known by a function that has no name outside its file, and probed as long as a process maps it. */
#include "libraries_fixture.h"

#define UVLOOP_PATH "/v/site-packages/uvloop/loop.cpython-311-x86_64-linux-gnu.so"

/* This program stands for the file: its symbols are those of wheels. */
static __attribute__((used, noinline)) void initiates(void) __asm__("__pyx_f_6uvloop_4loop_8UVStream__initiate_write");

static void initiates(void)
{
	__asm__ volatile("");
}

static void test_probed_from_its_mapping_on(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, UVLOOP_PATH, INO);
	assert_int_equal(f->opens, 1);
	opened(f, "/proc/self/exe");
	assert_int_equal(f->attaches, 1);
	assert_int_equal(f->attach.points_n, 1);
	assert_int_equal(f->attach.points[0].function, 192);
	assert_int_equal(f->attach.points[0].flags, 0);
	attached(f, 0);
	map(f, 10, "/usr/lib/libpq.so.5", INO + 1); /* for its sake OpenSSL would be probed no more */
	opened(f, "/bin/true");
	statement(f, 10, SOURCE_WIRE);
	for (int i = 0; i < 100; i++) {
		tick(f, S);
		assert_int_equal(f->detaches, 0);
	}
	tls(f, 10, PROTO_POSTGRES, 5432); /* says nothing of it */
	assert_int_equal(f->attaches, 0);
}

static void test_other_files_of_it(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, "/v/site-packages/httptools/parser/parser.cpython-311-x86_64-linux-gnu.so", INO);
	assert_int_equal(f->opens, 0);
	map(f, 10, UVLOOP_PATH, INO + 1);
	assert_int_equal(f->opens, 1);
	opened(f, "/bin/true"); /* stripped of its names */
	assert_int_equal(f->attaches, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_probed_from_its_mapping_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_files_of_it, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
