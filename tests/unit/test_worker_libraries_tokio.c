/* SPDX-License-Identifier: Apache-2.0 */
/* A program on Rust's tokio: what wakes and numbers its tasks is probed once a link of it was not sure. */
#include "libraries_fixture.h"

#define PROGRAM_PATH "/srv/app"

/* This program stands for the file; names have a hash behind them, and some have more behind that. */
#define TOKIO_FUNCTION(id, number, symbol)                                                                    \
	static __attribute__((used, noinline)) void tokio_##id(void) __asm__(symbol "0123456789abcde" #number \
										    "E.llvm.1");              \
	static void tokio_##id(void)                                                                          \
	{                                                                                                     \
		__asm__ volatile("");                                                                         \
	}
#include "tokio_functions.def"
#undef TOKIO_FUNCTION

#define TOKIO_FUNCTION(id, number, symbol) +1
enum {
	FUNCTIONS = 0
#include "tokio_functions.def"
};
#undef TOKIO_FUNCTION

/* Other functions whose names begin alike. */
static __attribute__((used, noinline)) void
other(void) __asm__("_ZN5tokio7runtime4task5waker11wake_by_val7CALLED17h0123E");
static void other(void)
{
	__asm__ volatile("");
}

static void test_probed_once_it_is_of_use(void **state)
{
	struct fixture *f = *state;

	probed_once_unsure(f, PROGRAM_PATH, FUNCTIONS);
	for (int i = 0; i < FUNCTIONS; i++) {
		assert_int_equal(f->attach.points[i].function, 208 + i);
		assert_int_equal(f->attach.points[i].flags, 0);
		for (int k = 0; k < i; k++) /* each copy once */
			assert_int_not_equal(f->attach.points[i].offset, f->attach.points[k].offset);
	}
}

/* The keeper may tell what a process maps before the ring tells of the process. */
static void test_mapped_before_it_is_known(void **state)
{
	struct fixture *f = *state;

	map(f, 10, PROGRAM_PATH, INO);
	opened(f, "/proc/self/exe"); /* if it was asked for */
	tick(f, S / 100);
	process(f, 10, 1, PROCESS_FORK);
	process(f, 10, 1, PROCESS_EXEC);
	tick(f, S / 100);
	opened(f, "/proc/self/exe");
	unsure(f, 10, EXCHANGE_PARENT_UNSURE);
	assert_int_equal(f->attaches, 1);
}

/* Of whom it never tells, files are looked at nevertheless. */
static void test_mapped_by_nobody(void **state)
{
	struct fixture *f = *state;

	map(f, 10, PROGRAM_PATH, INO);
	assert_int_equal(f->opens, 0);
	tick(f, S / 100);
	tick(f, 2 * S);
	assert_int_equal(f->opens, 1);
}

static void test_other_programs(void **state)
{
	struct fixture *f = *state;

	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, PROGRAM_PATH, INO);
	opened(f, "/bin/true");
	unsure(f, 10, EXCHANGE_PARENT_UNSURE);
	assert_int_equal(f->attaches, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_probed_once_it_is_of_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mapped_before_it_is_known, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mapped_by_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_programs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
