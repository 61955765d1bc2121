/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "util/log.h"

static int saved = -1, channel[2];
static char text[65536];

/* A pipe keeps messages apart from each other only if each is one write, as O_DIRECT shows (pipe(2)). */
static void catch_stderr(void)
{
	assert_int_equal(pipe2(channel, O_DIRECT | O_NONBLOCK), 0);
	saved = dup(STDERR_FILENO);
	dup2(channel[1], STDERR_FILENO);
}

static const char *caught(void)
{
	ssize_t n = read(channel[0], text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void release_stderr(void)
{
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(channel[0]);
	close(channel[1]);
}

static void test_prefixes_and_one_write(void **state)
{
	(void)state;
	catch_stderr();
	log_error("no %s", "file");
	log_warn("w");
	log_info("i %d", 1);
	assert_string_equal(caught(), "error: no file\n");
	assert_string_equal(caught(), "warning: w\n");
	assert_string_equal(caught(), "i 1\n");
	release_stderr();
}

static void test_levels(void **state)
{
	(void)state;
	catch_stderr();
	assert_int_equal(log_get_level(), LOG_INFO);
	log_debug("not shown");
	assert_string_equal(caught(), "");
	log_set_level(LOG_DEBUG);
	log_debug("shown");
	assert_string_equal(caught(), "debug: shown\n");
	log_set_level(LOG_ERROR);
	log_warn("not shown");
	assert_string_equal(caught(), "");
	log_error("shown");
	assert_string_equal(caught(), "error: shown\n");
	log_set_level(LOG_INFO);
	release_stderr();
}

static void test_long_messages_are_whole(void **state)
{
	char word[3000];

	(void)state;
	for (size_t n = 900; n < sizeof(word); n += n < 1100 ? 1 : 50) {
		memset(word, 'x', n);
		word[n] = '\0';
		catch_stderr();
		log_error("%s", word);
		assert_int_equal(strlen(caught()), 7 + n + 1);
		assert_int_equal(text[7 + n - 1], 'x');
		assert_int_equal(text[7 + n], '\n');
		release_stderr();
	}
}

static void test_terminal_escapes_do_not_pass(void **state)
{
	(void)state;
	catch_stderr();
	log_info("name \x1b[31m\x07\x7f\r tab\tline\ngr\xc3\xbc n");
	assert_string_equal(caught(), "name ?[31m??? tab\tline\ngr\xc3\xbc n\n");
	release_stderr();
}

static void test_errno_survives(void **state)
{
	(void)state;
	catch_stderr();
	close(STDERR_FILENO);
	errno = ENOENT;
	log_error("nobody reads this");
	assert_int_equal(errno, ENOENT);
	release_stderr();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prefixes_and_one_write),	cmocka_unit_test(test_levels),
		cmocka_unit_test(test_long_messages_are_whole), cmocka_unit_test(test_terminal_escapes_do_not_pass),
		cmocka_unit_test(test_errno_survives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
