/* SPDX-License-Identifier: Apache-2.0 */
#include "target/application.h"

#include "target/args.h"
#include "target/environment.h"
#include "target/names.h"
#include "target/python.h"

static const struct bytes none = { NULL, 0 };

/* "...[shop.wsgi:application]": what gunicorn and puma put into their titles. */
static struct bytes in_brackets(struct bytes title)
{
	size_t from = bytes_find(title, '['), to;

	title = bytes_tail(title, from + 1);
	to = bytes_find(title, ']');
	return to < title.n ? bytes_head(title, to) : none;
}

/* The script of an interpreter whose options mostly take no value. with_value: those that do. */
static struct bytes first_script(struct args *a, const char *const *with_value, const char *const *inline_code)
{
	struct bytes arg;

	while (args_next(a, &arg)) {
		if (arg.n < 2 || arg.p[0] != '-')
			return arg;
		if (name_is_one_of(arg, inline_code))
			return none;
		if (name_is_one_of(arg, with_value))
			(void)args_next(a, &arg);
	}
	return none;
}

/* By its folder, where it has the name that all have: index.js, or a built dist/main.js. */
static struct bytes javascript_name(struct bytes script, struct bytes cwd)
{
	static const char *const every[] = { "index", "main", NULL };
	static const char *const built[] = { "dist", "build", "out", "src", NULL };
	struct bytes name = name_of_script(script), folder;

	if (!name_is_one_of(name, every))
		return name;
	folder = name_of_folder(script, cwd);
	if (name_is_one_of(folder, built))
		folder = name_of_folder(path_folder(script), cwd);
	return folder.n && !name_is_one_of(folder, built) ? folder : name;
}

static struct bytes node_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = {
		"-r",	      "--require", "--import", "--loader", "-C", "--conditions", "--experimental-loader",
		"--env-file", "--title",   NULL
	};
	static const char *const code[] = { "-e", "--eval", "-p", "--print", NULL };

	return javascript_name(first_script(&a, values, code), in->cwd);
}

/* Of their commands (install, task, test) those that run a file: with "run" or "serve" before it, or with nothing. */
static struct bytes command_name(const struct application_input *in, struct args a, const char *const *with_value)
{
	static const char *const code[] = { "-e", "--eval", "-p", "--print", "eval", NULL };
	static const char *const commands[] = { "run", "serve", NULL };
	struct bytes script = first_script(&a, with_value, code);

	if (name_is_one_of(script, commands))
		script = first_script(&a, with_value, code);
	if (bytes_find(script, '.') == script.n && bytes_find(script, '/') == script.n)
		return none;
	return javascript_name(script, in->cwd);
}

static struct bytes bun_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = {
		"-r",	  "--preload",	"--require",	       "--import",     "-c", "--config", "--cwd",
		"--port", "--env-file", "--tsconfig-override", "--conditions", NULL
	};

	return command_name(in, a, values);
}

static struct bytes deno_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = { "-c",	"--config",  "--import-map", "--port",
					      "--host", "--preload", "--cert",	     "--location",
					      "--seed", "-L",	     "--log-level",  NULL };

	return command_name(in, a, values);
}

/* The folder that an application is in, by its name; of each of Capistrano's releases: SHOP/releases/20260101120000. */
static struct bytes name_of_home(struct bytes folder)
{
	struct bytes above = path_folder(folder);

	if (bytes_eq(path_base(above), BYTES_LITERAL("releases")))
		folder = path_folder(above);
	return name_checked(path_base(folder));
}

/* What runs an application of the folder that it is started in. Most write that into their titles, but later. */
static struct bytes ruby_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = { "-r", "-I", "-C", NULL };
	static const char *const code[] = { "-e", NULL };
	static const char *const bundles[] = { "bundle", "bundler", NULL };
	static const char *const servers[] = { "puma", "unicorn", "rackup", "thin", "sidekiq", NULL };
	struct bytes script = first_script(&a, values, code), name = name_of_script(script), by_folder = none, word;

	while (name_is_one_of(name, bundles) && args_next(&a, &word)) { /* bundle exec PROGRAM */
		if (!bytes_eq(word, BYTES_LITERAL("exec")))
			continue;
		script = first_script(&a, values, code);
		name = name_of_script(script);
		break;
	}
	if (bytes_eq(name, BYTES_LITERAL("rails")))
		by_folder = name_of_folder(path_folder(script), in->cwd); /* SHOP/bin/rails */
	else if (name_is_one_of(name, servers))
		by_folder = name_checked(args_find(a, "--tag", NULL));
	if (!by_folder.n && name_is_one_of(name, servers))
		by_folder = name_of_home(in->cwd);
	return by_folder.n ? by_folder : name;
}

/* Of SHOP/public/index.php, and of what `artisan serve` starts there: SHOP/vendor/laravel/(...)/server.php. */
static struct bytes php_folder(struct bytes script, struct bytes cwd)
{
	struct bytes folder = path_folder(script);
	size_t vendor = 0;

	while (vendor < script.n && !bytes_starts(bytes_tail(script, vendor), BYTES_LITERAL("/vendor/laravel/")))
		vendor++;
	if (vendor < script.n)
		folder = bytes_head(script, vendor);
	if (!folder.n || bytes_eq(folder, BYTES_LITERAL(".")))
		folder = cwd;
	if (bytes_eq(path_base(folder), BYTES_LITERAL("public")))
		folder = path_folder(folder).n ? path_folder(folder) : cwd;
	return name_of_home(folder);
}

static struct bytes php_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = { "-d", "-c", "-S", "-t", "-z", NULL };
	static const char *const code[] = { "-r", NULL };
	static const char *const fronts[] = { "artisan", "index", "server", NULL };
	struct bytes script = first_script(&a, values, code), name = name_of_script(script), folder = none;

	if (name_is_one_of(name, fronts))
		folder = php_folder(script, in->cwd);
	return folder.n ? folder : name;
}

static struct bytes php_fpm_name(const struct application_input *in, struct args a)
{
	struct bytes word, pool = none;

	(void)in;
	/* php-fpm: pool NAME */
	if (args_next(&a, &word) && bytes_eq(word, BYTES_LITERAL("pool")) && args_next(&a, &word))
		pool = name_checked(word);
	return pool.n && !bytes_eq(pool, BYTES_LITERAL("www")) ? pool : BYTES_LITERAL("php-fpm");
}

static bool is_given(struct bytes arg, const char *option, struct bytes *ret)
{
	if (!bytes_starts(arg, bytes_str(option)))
		return false;
	*ret = bytes_tail(arg, bytes_str(option).n);
	return true;
}

/* What a Spring application was told to be called: its own arguments come last, and win. */
static struct bytes spring_name(const struct application_input *in, struct args a)
{
	struct bytes arg, value, name = none;

	while (args_next(&a, &arg))
		if (is_given(arg, "-Dspring.application.name=", &value) ||
		    is_given(arg, "--spring.application.name=", &value))
			name = name_checked(value);
	return name.n ? name : name_checked(environment_get(in->env, "SPRING_APPLICATION_NAME"));
}

/* Classes that run other people's programs. */
static struct bytes java_class(const struct application_input *in, struct bytes class, struct bytes catalina)
{
	if (bytes_starts(class, BYTES_LITERAL("org.springframework.boot.loader.")))
		return name_checked(path_base(in->cwd)); /* where the jar was unpacked */
	if (bytes_eq(class, BYTES_LITERAL("org.apache.catalina.startup.Bootstrap")))
		return catalina.n ? catalina : BYTES_LITERAL("tomcat");
	return name_checked(class);
}

static struct bytes java_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = {
		"-cp",		 "-classpath",	    "--class-path",	     "-p",
		"--module-path", "--add-modules",   "--add-opens",	     "--add-exports",
		"--add-reads",	 "--limit-modules", "--upgrade-module-path", NULL
	};
	struct bytes arg, value, catalina = none, name = spring_name(in, a);

	if (name.n)
		return name;
	while (args_next(&a, &arg)) {
		if (is_given(arg, "-Dcatalina.base=", &value)) {
			catalina = name_checked(path_base(value));
		} else if (bytes_eq(arg, BYTES_LITERAL("-jar"))) {
			return args_next(&a, &arg) ? name_of_script(arg) : none;
		} else if (bytes_eq(arg, BYTES_LITERAL("-m")) || bytes_eq(arg, BYTES_LITERAL("--module"))) {
			/* module/class */
			return args_next(&a, &arg) ? name_checked(bytes_head(arg, bytes_find(arg, '/'))) : none;
		} else if (name_is_one_of(arg, values)) {
			(void)args_next(&a, &arg);
		} else if (arg.n && arg.p[0] != '-' && arg.p[0] != '@') {
			return java_class(in, arg, catalina);
		}
	}
	return none;
}

static struct bytes dotnet_name(const struct application_input *in, struct args a)
{
	struct bytes arg;

	(void)in;
	while (args_next(&a, &arg))
		if (name_ends(arg, BYTES_LITERAL(".dll")))
			return name_of_script(arg);
	return none;
}

static struct bytes shell_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = { "-o", "-O", NULL };
	static const char *const code[] = { "-c", "-s", "-i", NULL };

	(void)in;
	return name_of_script(first_script(&a, values, code));
}

static struct bytes perl_name(const struct application_input *in, struct args a)
{
	static const char *const values[] = { "-I", NULL };
	static const char *const code[] = { "-e", "-E", NULL };

	(void)in;
	return name_of_script(first_script(&a, values, code));
}

/* Executables that run other people's programs; a version may follow the name. Longer names first. */
static const struct runtime {
	const char *executable, *language;
	struct bytes (*name)(const struct application_input *in, struct args behind_first);
} runtimes[] = {
	{ "python", "python", application_python },
	{ "pypy", "python", application_python },
	{ "uwsgi-core", "python", application_uwsgi },
	{ "uwsgi", "python", application_uwsgi },
	{ "nodejs", "nodejs", node_name },
	{ "node", "nodejs", node_name },
	{ "bun.exe", NULL, bun_name }, /* as npm installs it */
	{ "bun", NULL, bun_name },
	{ "deno", NULL, deno_name },
	{ "java", "java", java_name },
	{ "ruby", "ruby", ruby_name },
	{ "php-fpm", "php", php_fpm_name },
	{ "php", "php", php_name },
	{ "dotnet", "dotnet", dotnet_name },
	{ "beam.smp", "erlang", NULL },
	{ "perl", NULL, perl_name },
	{ "bash", NULL, shell_name },
	{ "dash", NULL, shell_name },
	{ "sh", NULL, shell_name },
};

/* "python3.13t" is python, "phpmyadmin" is not php. */
static bool is_version_of(struct bytes base, struct bytes name)
{
	struct bytes rest = bytes_tail(base, name.n);

	if (!bytes_starts(base, name))
		return false;
	for (size_t i = 0; i < rest.n; i++)
		if (!(rest.p[i] >= '0' && rest.p[i] <= '9') && rest.p[i] != '.' && rest.p[i] != '-' &&
		    !(i && i + 1 == rest.n && (rest.p[i] == 't' || rest.p[i] == 'd')))
			return false;
	return true;
}

static const struct runtime *find_runtime(struct bytes exe)
{
	struct bytes base = path_base(exe);

	for (size_t i = 0; i < sizeof(runtimes) / sizeof(runtimes[0]); i++)
		if (is_version_of(base, bytes_str(runtimes[i].executable)))
			return &runtimes[i];
	return NULL;
}

/* Titles that servers write over their arguments. False: none that is known. */
static bool name_by_title(const struct application_input *in, struct bytes *ret)
{
	struct bytes title = bytes_head(in->args, bytes_find(in->args, '\0'));

	if (bytes_starts(title, BYTES_LITERAL("gunicorn: "))) {
		struct bytes name = name_of_module(in_brackets(title), none);

		*ret = name.n ? name : BYTES_LITERAL("gunicorn");
		return true;
	}
	if (bytes_starts(title, BYTES_LITERAL("puma")) && bytes_find(title, ' ') < title.n) {
		struct bytes name = name_checked(in_brackets(title));

		if (!name.n)
			name = name_of_home(in->cwd);
		*ret = name.n ? name : BYTES_LITERAL("puma");
		return true;
	}
	if (bytes_starts(title, BYTES_LITERAL("[celeryd: "))) {
		/* [celeryd: node@host:MainProcess] -active- (-A shop worker) */
		struct bytes behind = bytes_tail(title, bytes_find(title, '(') + 1);
		struct args a = { .rest = behind, .separator = ' ' };
		struct bytes name = name_of_module(args_find(a, "--app", "-A"), none);

		*ret = name.n ? name : BYTES_LITERAL("celery");
		return true;
	}
	if (bytes_starts(title, BYTES_LITERAL("sidekiq "))) {
		/* sidekiq 7.2.0 shop [0 of 5 busy] */
		struct args a = { .rest = title, .separator = ' ' };
		struct bytes word = none;
		bool there = true;

		for (int i = 0; i < 3 && there; i++)
			there = args_next(&a, &word);
		*ret = there && name_checked(word).n ? word : BYTES_LITERAL("sidekiq");
		return true;
	}
	return false;
}

struct bytes application_name(const struct application_input *in)
{
	const struct runtime *r = find_runtime(in->exe);
	struct args a = args_of(in->args);
	struct bytes name, first;

	if (!r || !r->name)
		return none;
	if (name_by_title(in, &name))
		return name;
	if (!args_next(&a, &first))
		return none;
	return r->name(in, a);
}

const char *application_language(struct bytes exe)
{
	const struct runtime *r = find_runtime(exe);

	return r ? r->language : NULL;
}
