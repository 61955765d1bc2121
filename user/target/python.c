/* SPDX-License-Identifier: Apache-2.0 */
#include "target/python.h"

#include "target/environment.h"
#include "target/names.h"

static const struct bytes none = { NULL, 0 };

/* gunicorn, uvicorn, hypercorn, daphne: the first positional argument is the application. */
static struct bytes served_module(const struct application_input *in, struct args a)
{
	static const char *const flags[] = { "--reload",
					     "--preload",
					     "--daemon",
					     "-D",
					     "-R",
					     "--enable-stdio-inheritance",
					     "--capture-output",
					     "--check-config",
					     "--print-config",
					     "--spew",
					     "--proxy-protocol",
					     "--suppress-ragged-eofs",
					     "--do-handshake-on-connect",
					     "--strip-header-spaces",
					     "--disable-redirect-access-to-syslog",
					     "--reuse-port",
					     "--access-log",
					     "--use-colors",
					     "--proxy-headers",
					     "--server-header",
					     "--date-header",
					     "--factory",
					     "--debug",
					     NULL };
	struct bytes module = none, folder = none;
	struct args_option o;

	(void)in;
	while (args_next_option(&a, flags, &o)) {
		if (bytes_eq(o.name, BYTES_LITERAL("--chdir")) || bytes_eq(o.name, BYTES_LITERAL("--app-dir")))
			folder = o.value;
		else if (!o.name.n && !module.n)
			module = o.value;
	}
	return name_of_module(module, folder);
}

static struct bytes celery_project(const struct application_input *in, struct args a)
{
	struct bytes app = args_find(a, "--app", "-A");

	return name_of_module(app.n ? app : environment_get(in->env, "CELERY_APP"), none);
}

/* "shop:create_app", "shop.py", "/srv/shop/shop.py" */
static struct bytes flask_application(const struct application_input *in, struct args a)
{
	struct bytes app = args_find(a, "--app", "-A");

	if (!app.n)
		app = environment_get(in->env, "FLASK_APP");
	return name_of_module(path_base(app), none);
}

struct bytes application_uwsgi(const struct application_input *in, struct args a)
{
	static const char *const modules[] = { "--module", "--wsgi", NULL };
	static const char *const files[] = { "--wsgi-file", "--file", "--ini", "--yaml", "--xml", NULL };
	struct bytes name = none;

	(void)in;
	for (size_t i = 0; modules[i] && !name.n; i++)
		name = name_of_module(args_find(a, modules[i], i ? NULL : "-w"), args_find(a, "--chdir", NULL));
	for (size_t i = 0; files[i] && !name.n; i++)
		name = name_of_module(path_base(args_find(a, files[i], NULL)), none);
	return bytes_eq(name, BYTES_LITERAL("uwsgi")) ? none : name;
}

static struct bytes django_settings(const struct application_input *in, struct args a)
{
	struct bytes settings = args_find(a, "--settings", NULL);

	return name_of_module(settings.n ? settings : environment_get(in->env, "DJANGO_SETTINGS_MODULE"), none);
}

static const struct launcher {
	const char *name;
	struct bytes (*application)(const struct application_input *in, struct args rest);
} launchers[] = {
	{ "gunicorn", served_module },	{ "uvicorn", served_module },	     { "hypercorn", served_module },
	{ "daphne", served_module },	{ "celery", celery_project },	     { "flask", flask_application },
	{ "uwsgi", application_uwsgi }, { "django-admin", django_settings },
};

/* A program that runs applications, by the name of its script or module. False: it is an application itself. */
static bool launch(const struct application_input *in, struct bytes program, struct args rest, struct bytes *ret)
{
	for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
		struct bytes name = bytes_str(launchers[i].name), found;

		if (!bytes_eq(program, name))
			continue;
		found = launchers[i].application(in, rest);
		*ret = found.n ? found : name;
		return true;
	}
	return false;
}

static struct bytes python_program(const struct application_input *in, struct bytes program, bool module,
				   struct args rest)
{
	struct bytes base = path_base(program), name;

	if (launch(in, module ? program : base, rest, &name))
		return name;
	if (module)
		return name_checked(name_without(program, ".__main__"));
	if (bytes_eq(base, BYTES_LITERAL("manage.py"))) {
		name = name_of_folder(program, in->cwd);
		if (!name.n)
			name = django_settings(in, rest);
		return name.n ? name : BYTES_LITERAL("manage");
	}
	if (bytes_eq(base, BYTES_LITERAL("__main__.py")))
		return name_of_folder(program, in->cwd);
	return name_of_script(program);
}

/* python [-BbdEhiIOqsSuvx] [-W arg] [-X opt] [-c cmd | -m module | script] [arg...], short options in one word too. */
struct bytes application_python(const struct application_input *in, struct args a)
{
	struct bytes arg;

	while (args_next(&a, &arg)) {
		size_t at = 1;

		if (arg.n < 2 || arg.p[0] != '-')
			return arg.n > 1 ? python_program(in, arg, false, a) : none;
		if (arg.p[1] == '-') {
			if (bytes_eq(arg, BYTES_LITERAL("--check-hash-based-pycs")))
				(void)args_next(&a, &arg);
			continue;
		}
		while (at < arg.n && !memchr("cmWX", arg.p[at], 4))
			at++;
		if (at == arg.n)
			continue;
		if (arg.p[at] == 'c')
			return none;
		if (arg.p[at] == 'm') {
			struct bytes module = bytes_tail(arg, at + 1);

			if (!module.n && !args_next(&a, &module))
				return none;
			return python_program(in, module, true, a);
		}
		if (at + 1 == arg.n)
			(void)args_next(&a, &arg);
	}
	return none;
}
