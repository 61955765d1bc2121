/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "target/application.h"
#include "target/args.h"
#include "util/cleanup.h"

struct sample {
	const char *exe, *args, *env, *cwd, *name; /* args: separated by '|', env by ';' */
};

#define PY "/usr/bin/python3.11"
#define NODE "/usr/bin/node"
#define BUN "/root/.bun/bin/bun"
#define DENO "/usr/local/bin/deno"
#define JAVA "/usr/lib/jvm/java-17/bin/java"
#define RUBY "/usr/bin/ruby3.1"

/* clang-format off */
static const struct sample samples[] = {
	/* gunicorn and its like */
	{ PY, "/venv/bin/python3|/venv/bin/gunicorn|shop.wsgi:application", "", "", "shop" },
	{ PY, "python|/venv/bin/gunicorn|-c|conf/gunicorn.py|shop.wsgi", "", "", "shop" },
	{ PY, "python|/venv/bin/gunicorn|-w|4|-b|0.0.0.0:8000|--preload|shop.wsgi", "", "", "shop" },
	{ PY, "python|/venv/bin/gunicorn|-w4|-b:8000|-D|shop.wsgi", "", "", "shop" },
	{ PY, "python|/venv/bin/gunicorn|--bind=:8000|--capture-output|shop:create_app(\"k3y\")", "", "", "shop" },
	{ PY, "python|/venv/bin/gunicorn|--chdir|/srv/store/|wsgi:application", "", "", "store" },
	{ PY, "python|/venv/bin/gunicorn|--chdir=/srv/store|shop.wsgi", "", "", "shop" },
	{ PY, "python|/venv/bin/gunicorn|wsgi:app", "", "", "wsgi" },
	{ PY, "python|-m|gunicorn|shop.wsgi", "", "", "shop" },
	{ PY, "python|-W|ignore|-Xdev|-um|gunicorn|-k|gevent|shop.wsgi", "", "", "shop" },
	{ PY, "python|/venv/bin/gunicorn|-c|conf.py", "", "", "gunicorn" },
	{ PY, "gunicorn: master [shop.wsgi:application]|||", "", "", "shop" },
	{ PY, "gunicorn: worker [shop]", "", "", "shop" },
	{ PY, "gunicorn: worker", "", "", "gunicorn" },
	{ PY, "python|/venv/bin/uvicorn|--host|0.0.0.0|--reload|shop.main:app|--port|80", "", "", "shop" },
	{ PY, "python|-m|uvicorn|--app-dir|/srv/orders|main:app", "", "", "orders" },
	{ PY, "python|/venv/bin/uvicorn|src.shop.main:app", "", "", "shop" },
	{ PY, "python|/venv/bin/hypercorn|-k|uvloop|shop.asgi:app", "", "", "shop" },
	{ PY, "python|/venv/bin/daphne|-b|0.0.0.0|-p|8001|shop.asgi:application", "", "", "shop" },
	{ "/usr/bin/uwsgi-core", "uwsgi|--yaml=/etc/uwsgi/shop.yaml", "", "", "shop" },
	{ "/usr/bin/uwsgi", "uwsgi|--ini|/etc/uwsgi/shop.ini", "", "", "shop" },
	{ "/usr/bin/uwsgi", "uwsgi|--http|:80|--module|shop.wsgi:application|--master", "", "", "shop" },
	{ "/usr/bin/uwsgi", "uwsgi|-w|wsgi|--chdir|/srv/store", "", "", "store" },
	{ "/usr/bin/uwsgi", "uwsgi|--wsgi-file=/srv/shop/hello.py", "", "", "hello" },
	{ "/usr/bin/uwsgi", "uwsgi|--http|:80", "", "", "" },
	/* Celery, Django, Flask */
	{ PY, "python|/venv/bin/celery|-A|shop|worker|-l|info", "", "", "shop" },
	{ PY, "python|/venv/bin/celery|--app=shop.celery:app|beat", "", "", "shop" },
	{ PY, "python|-m|celery|-Ashop|worker", "", "", "shop" },
	{ PY, "python|/venv/bin/celery|worker", "CELERY_APP=shop.tasks", "", "shop" },
	{ PY, "python|/venv/bin/celery|worker", "", "", "celery" },
	{ PY, "[celeryd: celery@host:MainProcess] -active- (-A shop worker -l info)", "", "", "shop" },
	{ PY, "[celeryd: celery@host:ForkPoolWorker-1]", "", "", "celery" },
	{ PY, "python|manage.py|runserver|8000", "", "/srv/shop", "shop" },
	{ PY, "python|./manage.py|runserver", "", "/srv/shop", "shop" },
	{ PY, "python|/srv/store/manage.py|runserver", "", "/root", "store" },
	{ PY, "python|/srv/store/./manage.py|runserver", "", "/root", "store" },
	{ PY, "python|manage.py|runserver", "DJANGO_SETTINGS_MODULE=shop.settings.prod", "", "shop" },
	{ PY, "python|manage.py|runserver|--settings|shop.settings", "", "", "shop" },
	{ PY, "python|manage.py|runserver", "", "", "manage" },
	{ PY, "python|manage.py|runserver", "", "/", "manage" },
	{ PY, "python|/venv/bin/django-admin|migrate", "DJANGO_SETTINGS_MODULE=shop.settings", "", "shop" },
	{ PY, "python|/venv/bin/flask|--app|shop:create_app|run", "", "", "shop" },
	{ PY, "python|-m|flask|run", "FLASK_APP=/srv/shop/orders.py:app", "", "orders" },
	{ PY, "python|/venv/bin/flask|run", "", "", "flask" },
	/* Python */
	{ PY, "python|script.py|--password|x", "", "", "script" },
	{ PY, "python|/srv/shop/load.py", "", "", "load" },
	{ PY, "python|-u|-OO|-X|dev|-W|ignore::X|script.py", "", "", "script" },
	{ PY, "python|--check-hash-based-pycs|always|script.py", "", "", "script" },
	{ PY, "python|-m|http.server|80", "", "", "http.server" },
	{ PY, "python|-m|shop.__main__", "", "", "shop" },
	{ PY, "python|/srv/shop/__main__.py", "", "", "shop" },
	{ PY, "python|-mshop", "", "", "shop" },
	{ PY, "python|-m", "", "", "" },
	{ PY, "python|-c|print('secret')", "", "", "" },
	{ PY, "python|-Ic|secret", "", "", "" },
	{ PY, "python", "", "", "" },
	{ PY, "python|-", "", "", "" },
	{ PY, "", "", "", "" },
	{ "/usr/bin/pypy3", "pypy3|script.py", "", "", "script" },
	{ PY " (deleted)", "python|script.py", "", "", "script" },
	{ PY, "python|/srv/päss word.py", "", "", "" },
	/* others */
	{ NODE, "node|server.js", "", "", "server" },
	{ NODE, "node|--inspect=0|-r|dotenv/config|--env-file|.env|/srv/shop/dist/server.mjs|--key=s", "", "", "server" },
	{ NODE, "node|/srv/shop/index.js", "", "", "shop" },
	{ NODE, "node|index.js", "", "/srv/orders", "orders" },
	{ NODE, "node|index.js", "", "", "index" },
	{ NODE, "node|dist/index.js", "", "/srv/orders", "orders" },
	{ NODE, "node|--enable-source-maps|/srv/shop/dist/main", "", "/", "shop" },
	{ NODE, "node|main.js", "", "/srv/orders/dist", "main" },
	{ NODE, "node|-e|secret()", "", "", "" },
	{ BUN, "bun|server.ts", "", "", "server" },
	{ BUN, "bun|--hot|run|-r|./trace.ts|--env-file|.env|src/index.ts|--key=s", "", "/srv/orders", "orders" },
	{ "/srv/node_modules/bun/bin/bun.exe", "bun|run|api.js", "", "", "api" },
	{ BUN, "bun|run|start", "", "/srv/orders", "" },
	{ BUN, "bun|-e|secret()", "", "", "" },
	{ DENO, "deno|run|-A|-r|main.ts|8000", "", "/srv/orders", "orders" },
	{ DENO, "deno|serve|--port|8000|/srv/shop/api.ts", "", "", "api" },
	{ DENO, "deno|run|--allow-net=:80|https://x.test/a/chat.ts", "", "", "chat" },
	{ DENO, "deno|task|start", "", "/srv/orders", "" },
	{ DENO, "deno|eval|secret()", "", "", "" },
	{ NODE, "node /srv/shop/server.js||", "", "", "server" },
	{ JAVA, "java|-Xmx1g|-cp|a.jar:b.jar|-Dkey=secret|com.acme.shop.Main|arg", "", "", "com.acme.shop.Main" },
	{ JAVA, "java|-javaagent:x.jar|-jar|/srv/shop-1.2.jar|--x", "", "", "shop-1.2" },
	{ JAVA, "java|-Dspring.application.name=orders|-jar|app.jar", "", "", "orders" },
	{ JAVA, "java|--add-opens|java.base/java.lang=ALL-UNNAMED|--module|shop/com.acme.Main", "", "", "shop" },
	{ JAVA, "java|-jar|app.jar|--server.port=1|--spring.application.name=orders", "", "", "orders" },
	{ JAVA, "java|-Dspring.application.name=a|-jar|app.jar|--spring.application.name=b", "", "", "b" },
	{ JAVA, "java|-jar|app.jar", "SPRING_APPLICATION_NAME=orders", "", "orders" },
	{ JAVA, "java|-jar|app.jar", "SPRING_APPLICATION_NAME=", "", "app" },
	{ JAVA, "java|org.springframework.boot.loader.launch.JarLauncher", "", "/srv/shop", "shop" },
	{ JAVA, "java|org.springframework.boot.loader.launch.JarLauncher", "", "", "" },
	{ JAVA, "java|-cp|x|-Dcatalina.base=/var/lib/tomcat10|org.apache.catalina.startup.Bootstrap|start", "", "", "tomcat10" },
	{ JAVA, "java|org.apache.catalina.startup.Bootstrap|start", "", "", "tomcat" },
	{ JAVA, "java|-version", "", "", "" },
	{ RUBY, "ruby|-W0|script.rb", "", "", "script" },
	{ RUBY, "ruby|/srv/shop/bin/rails|server", "", "", "shop" },
	{ RUBY, "ruby|bin/rails|server", "", "/srv/shop", "shop" },
	{ RUBY, "ruby|bin/rails|server", "", "", "rails" },
	{ RUBY, "puma 6.4.0 (tcp://0.0.0.0:3000) [shop]", "", "", "shop" },
	{ RUBY, "puma: cluster worker 0: 123 [shop]", "", "", "shop" },
	{ RUBY, "puma 6.4.0 (tcp://0.0.0.0:3000) [20260101120000]", "", "/srv/shop/releases/20260101120000", "shop" },
	{ RUBY, "ruby|/usr/bin/puma|-p|3000", "", "", "puma" },
	{ RUBY, "ruby|/usr/bin/puma|-p|3000", "", "/srv/shop", "shop" },
	{ RUBY, "ruby|/usr/bin/puma|--tag|store", "", "/srv/shop", "store" },
	{ RUBY, "ruby|/usr/local/bin/bundle|exec|puma|-C|config/puma.rb", "", "/srv/shop", "shop" },
	{ RUBY, "ruby|/usr/local/bin/bundle|exec|sidekiq", "", "/srv/shop/releases/20260101120000", "shop" },
	{ RUBY, "ruby|/usr/local/bin/bundle|exec|rails|server", "", "/srv/shop", "shop" },
	{ RUBY, "ruby|/usr/local/bin/bundle|exec|ruby_worker.rb", "", "/srv/shop", "ruby_worker" },
	{ RUBY, "ruby|/usr/local/bin/bundle|install", "", "/srv/shop", "bundle" },
	{ RUBY, "sidekiq 7.2.0 shop [0 of 5 busy]", "", "", "shop" },
	{ "/usr/sbin/php-fpm8.2", "php-fpm: pool www", "", "", "php-fpm" },
	{ "/usr/sbin/php-fpm8.2", "php-fpm: pool shop", "", "", "shop" },
	{ "/usr/sbin/php-fpm8.2", "php-fpm: master process (/etc/php/8.2/fpm/php-fpm.conf)", "", "", "php-fpm" },
	{ "/usr/bin/php8.2", "php|artisan|serve", "", "/srv/shop", "shop" },
	{ "/usr/bin/php8.2", "php|-d|x=1|import.php", "", "", "import" },
	{ "/usr/bin/php8.2", "php|-S|127.0.0.1:8000|-t|public|/srv/shop/public/index.php", "", "", "shop" },
	{ "/usr/bin/php8.2", "php|-S|127.0.0.1:8000|public/index.php", "", "/srv/shop", "shop" },
	{ "/usr/bin/php8.2", "php|-S|127.0.0.1:8000|index.php", "", "/srv/shop/public", "shop" },
	{ "/usr/bin/php8.2", "php|-S|:8000|/srv/shop/vendor/laravel/framework/src/Illuminate/Foundation/resources/server.php", "", "/srv/shop/public", "shop" },
	{ "/usr/bin/php8.2", "php|index.php", "", "", "index" },
	{ "/usr/bin/dotnet", "dotnet|exec|/srv/Shop.dll", "", "", "Shop" },
	{ "/usr/bin/bash", "bash|/srv/run.sh", "", "", "run" },
	{ "/usr/bin/bash", "bash|-c|echo secret", "", "", "" },
	{ "/usr/bin/perl", "perl|-w|script.pl", "", "", "script" },
	/* nothing but themselves */
	{ "/usr/sbin/nginx", "nginx: worker process", "", "", "" },
	{ "/usr/lib/postgresql/15/bin/postgres", "postgres: shop shop 127.0.0.1(55092) idle", "", "", "" },
	{ "/usr/bin/redis-server", "redis-server *:6379", "", "", "" },
	{ "/usr/bin/phpmyadmin", "phpmyadmin|x.php", "", "", "" },
	{ "", "python|script.py", "", "", "" },
};
/* clang-format on */

/* A copy of exactly its size, so that reading one byte too far is found. */
static struct bytes copy_of(const char *s, char from, char to, char **ret_memory)
{
	size_t n = strlen(s);
	char *p = malloc(n ? n : 1);

	memcpy(p, s, n);
	for (size_t i = 0; i < n; i++)
		if (p[i] == from)
			p[i] = to;
	*ret_memory = p;
	return bytes_of(p, n);
}

static void test_samples(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		const struct sample *s = &samples[i];
		_cleanup_free_ char *exe = NULL, *args = NULL, *env = NULL, *cwd = NULL;
		struct application_input in = {
			.exe = copy_of(s->exe, '\0', '\0', &exe),
			.args = copy_of(s->args, '|', '\0', &args),
			.env = copy_of(s->env, ';', '\0', &env),
			.cwd = copy_of(s->cwd, '\0', '\0', &cwd),
		};
		struct bytes name = application_name(&in);

		if (!bytes_eq(name, bytes_str(s->name)))
			fail_msg("%s %s: \"%.*s\", not \"%s\"", s->exe, s->args, (int)name.n, name.n ? name.p : "",
				 s->name);
	}
}

/* Cut anywhere, as a kernel buffer may have done: never more than names. */
static void test_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		for (size_t n = 0; n <= strlen(samples[i].args); n++) {
			_cleanup_free_ char *args = NULL;
			struct application_input in = { .exe = bytes_str(samples[i].exe) };
			struct bytes name;

			copy_of(samples[i].args, '|', '\0', &args);
			in.args = bytes_of(args, n);
			name = application_name(&in);
			for (size_t k = 0; k < name.n; k++)
				assert_non_null(strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
						       "0123456789._-@+",
						       name.p[k]));
		}
	}
}

static void test_language(void **state)
{
	static const struct {
		const char *exe, *language;
	} languages[] = {
		{ "/usr/bin/python3.13t", "python" },
		{ "/opt/pypy3", "python" },
		{ "/usr/bin/uwsgi", "python" },
		{ "/usr/bin/node", "nodejs" },
		{ "/usr/bin/java", "java" },
		{ "/usr/bin/ruby3.1", "ruby" },
		{ "/usr/sbin/php-fpm8.2", "php" },
		{ "/usr/bin/php", "php" },
		{ "/usr/bin/dotnet", "dotnet" },
		{ "/usr/lib/beam.smp", "erlang" },
		{ "/usr/sbin/nginx", NULL },
		{ "/usr/bin/pythonista", NULL },
		{ "/usr/bin/node_exporter", NULL },
		{ "/usr/bin/deno", NULL },
		{ "/usr/bin/javac", NULL },
		{ "", NULL },
		{ "/usr/bin/perl", NULL },
		{ "/bin/bash", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(languages) / sizeof(languages[0]); i++) {
		const char *got = application_language(bytes_str(languages[i].exe));

		if (!got || !languages[i].language)
			assert_ptr_equal(got, languages[i].language);
		else
			assert_string_equal(got, languages[i].language);
	}
}

static void check_option(struct args *a, const char *const *flags, const char *name, const char *value)
{
	struct args_option o;

	assert_true(args_next_option(a, flags, &o));
	assert_true(bytes_eq(o.name, bytes_str(name)));
	assert_true(bytes_eq(o.value, bytes_str(value)));
}

static void test_options(void **state)
{
	static const char *const flags[] = { "--reload", "-D", NULL };
	struct args a = args_of(BYTES_LITERAL("-w\0"
					      "4\0-b:80\0--x=\0--y=z=1\0--reload\0--no-color\0-D\0-\0pos\0--last"));
	struct args_option o;

	(void)state;
	check_option(&a, flags, "-w", "4");
	check_option(&a, flags, "-b", ":80");
	check_option(&a, flags, "--x", "");
	check_option(&a, flags, "--y", "z=1");
	check_option(&a, flags, "--reload", "");
	check_option(&a, flags, "--no-color", "");
	check_option(&a, flags, "-D", "");
	check_option(&a, flags, "", "-");
	check_option(&a, flags, "", "pos");
	check_option(&a, flags, "--last", "");
	assert_false(args_next_option(&a, flags, &o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_language),
		cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
