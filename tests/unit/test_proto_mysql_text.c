/* SPDX-License-Identifier: Apache-2.0 */
/* What is read of MySQL's commands: the text behind query attributes, databases, what names a histogram key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "proto/mysql.h"

extern const struct proto proto_mysql;

#define STRING(s) bytes_of((s), sizeof(s) - 1)

static void users(void **state)
{
	(void)state;
	assert_true(bytes_eq(mysql_change_user_database(STRING("me\0\3abcshop\0\x21")), STRING("shop")));
	assert_true(bytes_eq(mysql_change_user_database(STRING("\0\0shop\0")), STRING("shop")));
	assert_int_equal(mysql_change_user_database(STRING("me\0\0\0\x21")).n, 0);
	assert_int_equal(mysql_change_user_database(STRING("me\0\x09"
							   "abc"))
				 .n,
			 0);
	assert_int_equal(mysql_change_user_database(STRING("me")).n, 0);
}

static void texts(void **state)
{
	struct bytes plain = STRING("SELECT 1"), none = STRING("\0\1SELECT 2");
	/* one attribute: bitmap, bound, type 8 (longlong), name "a"; its value; then the text */
	struct bytes one = STRING("\1\1\0\1\x08\0\1a\1\2\3\4\5\6\7\x08SELECT 3"), cut = STRING("\1\1\0\1\x08");

	(void)state;
	assert_true(bytes_eq(mysql_query_text(plain), STRING("SELECT 1")));
	assert_true(bytes_eq(mysql_query_text(none), STRING("SELECT 2")));
	assert_true(bytes_eq(mysql_query_text(one), STRING("SELECT 3")));
	assert_int_equal(mysql_query_text(cut).n, 0);
	assert_true(bytes_eq(mysql_use(STRING(" use  shop ;")), STRING("shop")));
	assert_true(bytes_eq(mysql_use(STRING("USE `my shop`")), STRING("my shop")));
	assert_int_equal(mysql_use(STRING("USELESS x")).n, 0);
	assert_int_equal(mysql_use(STRING("USE `open")).n, 0);
	assert_true(bytes_eq(mysql_use(STRING("/* a */ -- b\n# c\n use shop")), STRING("shop")));
	assert_int_equal(mysql_use(STRING("/* use a")).n, 0);
	assert_int_equal(mysql_use(STRING("-- use a")).n, 0);
}

/* What names a histogram key, with the packet's head and without. */
static void samples(void **state)
{
	static const char head[] = "\x0a\0\0\0\x03SELECT 12", bare[] = "\x03SELECT 12",
			  attributes[] = "\x03\0\1SELECT 12", execute[] = "\x17\x07\0\0\0\0\1\0\0\0",
			  ping[] = "\1\0\0\0\x0e";
	static const struct {
		struct bytes b;
		const char *text;
		uint32_t statement;
		bool known;
	} cases[] = { { { head, sizeof(head) - 1 }, "SELECT 12", 0, true },
		      { { bare, sizeof(bare) - 1 }, "SELECT 12", 0, true },
		      { { attributes, sizeof(attributes) - 1 }, "SELECT 12", 0, true },
		      { { execute, sizeof(execute) - 1 }, "", 7, true },
		      { { ping, sizeof(ping) - 1 }, "", 0, true },
		      { { bare, 2 }, "", 0, false } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event_exchange e = { .method = MYSQL_QUERY };
		struct exchange_bytes in = { &e, cases[i].b, { 0 }, { 0 } };
		struct operation op;

		assert_int_equal(proto_mysql.exchange(&in, &op), cases[i].known);
		assert_true(bytes_eq(op.statement, bytes_str(cases[i].text)));
		assert_int_equal(op.statement_name.n, cases[i].statement ? 4 : 0);
		if (cases[i].statement)
			assert_int_equal(mysql_le32((const uint8_t *)op.statement_name.p), cases[i].statement);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),
		cmocka_unit_test(samples),
		cmocka_unit_test(users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
