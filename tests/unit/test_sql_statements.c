/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sql/sql.h"

/* The statements that are wanted, each ended by a |. */
static void check(enum sql_dialect dialect, const char *text, const char *wanted)
{
	struct bytes rest = bytes_str(text), one;
	struct sql s = { 0 };
	char got[1024] = "";
	unsigned n = 0;

	while (sql_next_statement(dialect, &rest, &one)) {
		assert_true(strlen(got) + one.n + 2 < sizeof(got));
		strncat(got, one.p, one.n);
		strcat(got, "|");
		n++;
	}
	assert_string_equal(got, wanted);
	assert_false(sql_next_statement(dialect, &rest, &one));
	sql_read(&s, dialect, bytes_str(text), false, 0);
	assert_int_equal(s.statements, n);
	sql_free(&s);
}

static void both(const char *text, const char *wanted)
{
	check(SQL_POSTGRESQL, text, wanted);
	check(SQL_MYSQL, text, wanted);
}

static void test_both(void **state)
{
	(void)state;
	both("SELECT 1", "SELECT 1|");
	both("SELECT 1;", "SELECT 1|");
	both(" SELECT 1 ;; ;\n/* x; */ SELECT 2 /* y; */ ; -- z;\n", "SELECT 1|SELECT 2 /* y; */|");
	both("SELECT ';''', a; SELECT 2", "SELECT ';''', a|SELECT 2|");
	both("SELECT 1 -- a;b\n; SELECT 2", "SELECT 1 -- a;b|SELECT 2|");
	both("", "");
	both(" ; ;; ", "");
	both("/* only */ -- comments", "");
	both("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); SELECT 3",
	     "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)|SELECT 3|");
	both("BEGIN; SELECT CASE WHEN a THEN 1 END; END; SELECT 1",
	     "BEGIN|SELECT CASE WHEN a THEN 1 END|END|SELECT 1|");
	both("SELECT 1; SELECT 'cut", "SELECT 1|SELECT 'cut|");
}

static void test_postgresql(void **state)
{
	(void)state;
	check(SQL_POSTGRESQL, "DO $$ BEGIN a; b; END $$; SELECT $x$;$$;$x$; SELECT E'\\';'",
	      "DO $$ BEGIN a; b; END $$|SELECT $x$;$$;$x$|SELECT E'\\';'|");
	check(SQL_POSTGRESQL, "SELECT \"a;b\"; /* /* ; */ ; */ SELECT U&\"c;d\"", "SELECT \"a;b\"|SELECT U&\"c;d\"|");
	check(SQL_POSTGRESQL,
	      "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true "
	      "THEN "
	      "1 END; END; SELECT 2",
	      "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true "
	      "THEN "
	      "1 END; END|SELECT 2|");
	check(SQL_POSTGRESQL, "SELECT 1; COPY t FROM STDIN; a;b\nc;d\n\\.\n", "SELECT 1|COPY t FROM STDIN|");
	check(SQL_POSTGRESQL, "COPY t FROM '/x'; SELECT 2", "COPY t FROM '/x'|SELECT 2|");
	/* A backslash before a quote: the other reading makes no sense. */
	check(SQL_POSTGRESQL, "SELECT a LIKE b ESCAPE '\\'; SELECT 'c', 'd'; SELECT 2",
	      "SELECT a LIKE b ESCAPE '\\'|SELECT 'c', 'd'|SELECT 2|");
	/* In doubt about the first literal's end, nothing behind it is called a statement of its own. */
	check(SQL_POSTGRESQL, "SELECT 1; SELECT 'it\\'s; secret'", "SELECT 1|SELECT 'it\\'s; secret'|");
}

static void test_mysql(void **state)
{
	(void)state;
	check(SQL_MYSQL, "SELECT 'a\\';z', \"c;d\", `e;f`; SELECT 2 # ;\n; SELECT 3",
	      "SELECT 'a\\';z', \"c;d\", `e;f`|SELECT 2 # ;|SELECT 3|");
	check(SQL_MYSQL, "SELECT 'rock \\'n\\' roll', \"{\\\"a\\\": 1}\"; SELECT 2",
	      "SELECT 'rock \\'n\\' roll', \"{\\\"a\\\": 1}\"|SELECT 2|");
	check(SQL_MYSQL, "/*!40101 SET NAMES utf8 */; /*!50003 SET a = 1; SET b = 2 */; SELECT /*! 1 */",
	      "/*!40101 SET NAMES utf8 */|/*!50003 SET a = 1; SET b = 2 */|SELECT /*! 1 */|");
	check(SQL_MYSQL,
	      "CREATE DEFINER=`u`@`h` PROCEDURE p() BEGIN IF a THEN SELECT 1; ELSE SELECT 2; END IF; WHILE b DO SELECT "
	      "3; "
	      "END WHILE; CASE c WHEN 1 THEN SELECT 4; END CASE; END; SELECT 5",
	      "CREATE DEFINER=`u`@`h` PROCEDURE p() BEGIN IF a THEN SELECT 1; ELSE SELECT 2; END IF; WHILE b DO SELECT "
	      "3; "
	      "END WHILE; CASE c WHEN 1 THEN SELECT 4; END CASE; END|SELECT 5|");
	check(SQL_MYSQL, "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET NEW.a = 1; SELECT 1",
	      "CREATE TRIGGER t BEFORE INSERT ON x FOR EACH ROW SET NEW.a = 1|SELECT 1|");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both),
		cmocka_unit_test(test_postgresql),
		cmocka_unit_test(test_mysql),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
