/* SPDX-License-Identifier: Apache-2.0 */
/* Node.js is known by what its event loop calls, and probed once a link of its was not sure. */
#include "libraries_fixture.h"

#define NODE_PATH "/usr/bin/node"

/* This program stands for the file. */
#define NODE_FUNCTION(id, number, symbol)                                            \
	static __attribute__((used, noinline)) void node_##id(void) __asm__(symbol); \
	static void node_##id(void)                                                  \
	{                                                                            \
		__asm__ volatile("");                                                \
	}
#include "node_functions.def"
#undef NODE_FUNCTION

#define NODE_FUNCTION(id, number, symbol) +1
enum {
	FUNCTIONS = 0
#include "node_functions.def"
};
#undef NODE_FUNCTION

static void test_probed_once_it_is_of_use(void **state)
{
	struct fixture *f = *state;

	probed_once_unsure(f, NODE_PATH, FUNCTIONS);
	assert_int_equal(f->attach.points[0].function, 200);
}

static void test_another_of_the_same_file(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, NODE_PATH, INO);
	opened(f, "/proc/self/exe");
	process(f, 11, 1, PROCESS_EXEC);
	map(f, 11, NODE_PATH, INO);
	unsure(f, 11, EXCHANGE_PARENT_UNSURE);
	assert_int_equal(f->attaches, 1);
}

static void test_other_programs(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, NODE_PATH, INO);
	opened(f, "/bin/true"); /* stripped of its names */
	unsure(f, 10, EXCHANGE_PARENT_UNSURE);
	assert_int_equal(f->attaches, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_probed_once_it_is_of_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_of_the_same_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_programs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
