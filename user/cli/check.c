/* SPDX-License-Identifier: Apache-2.0 */
/* sonde check: what this kernel allows, what is lost by it, and the first thing to change. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "keeper/keeper.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/log.h"

enum { GROUP_WIDTH = 12, NAME_WIDTH = 22, NAME_MAX_WIDTH = 30 };

/* Who we are is told, not probed: "root; worker without any capability" needs no yes behind it. */
static bool is_statement(const struct feature *f)
{
	return strcmp(f->group, "privileges") == 0 && f->state != FEATURE_NO;
}

static int name_width(const struct features *f)
{
	size_t width = NAME_WIDTH;

	for (size_t i = 0; i < f->n; i++) {
		size_t n = strlen(f->v[i].name);

		if (!is_statement(&f->v[i]) && n > width && n <= NAME_MAX_WIDTH)
			width = n;
	}
	return (int)width;
}

static void print_feature(FILE *to, const struct feature *f, const char *group, int width)
{
	_cleanup_(buf_free) struct buf line = { 0 };

	if (is_statement(f)) {
		fprintf(to, "%-*s%s%s%s\n", GROUP_WIDTH, group, f->name, *f->why ? "; " : "", f->why);
		return;
	}
	buf_printf(&line, "%-*s%-*s %s", GROUP_WIDTH, group, width, f->name, f->state == FEATURE_NO ? "no " : "yes");
	if (f->state == FEATURE_USED)
		buf_str(&line, "   <- used");
	if (*f->why)
		buf_printf(&line, "   %s", f->why);
	while (line.n && line.p[line.n - 1] == ' ')
		line.n--;
	fprintf(to, "%.*s\n", (int)line.n, line.n ? line.p : "");
}

/* Three significant digits: 512 B, 9.00 KiB, 10.5 MiB, 128 MiB. */
static void format_bytes(char *buf, size_t size, uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)bytes / 1024;
	size_t i = 0;

	if (bytes < 1024) {
		snprintf(buf, size, "%u B", (unsigned)bytes);
		return;
	}
	for (; v >= 999.5 && i < 3; i++)
		v /= 1024;
	snprintf(buf, size, "%.*f %s", v < 9.995 ? 2 : v < 99.95 ? 1 : 0, v, units[i]);
}

static void print_losses(FILE *to, const struct features *f)
{
	char size[32];
	bool any = false;

	for (size_t i = 0; i < f->n; i++) {
		if (f->v[i].state != FEATURE_NO || !*f->v[i].lose)
			continue;
		fprintf(to, "%-*s%s\n", GROUP_WIDTH, any ? "" : "you lose", f->v[i].lose);
		any = true;
	}
	if (!any && f->usable)
		fprintf(to, "%-*snothing\n", GROUP_WIDTH, "you lose");
	if (f->map_bytes) {
		format_bytes(size, sizeof(size), f->map_bytes);
		fprintf(to, "%-*s%s locked by maps while it runs%s\n", GROUP_WIDTH, "memory", size,
			f->map_bytes_at_most ? ", at most (this kernel does not tell how much is used)" : "");
	}
}

void check_print_text(FILE *to, const struct features *f)
{
	const char *last = "";
	int width = name_width(f);

	if (*f->kernel)
		fprintf(to, "%-*s%s\n", GROUP_WIDTH, "kernel", f->kernel);
	for (size_t i = 0; i < f->n; i++) {
		const struct feature *v = &f->v[i];
		bool again = strcmp(v->group, last) == 0 || (i == 0 && *f->kernel && strcmp(v->group, "kernel") == 0);

		print_feature(to, v, again ? "" : v->group, width);
		last = v->group;
	}
	print_losses(to, f);
	if (!f->usable)
		fprintf(to, "%-*s%s\n", GROUP_WIDTH, "do first",
			*f->advice ? f->advice : "the kernel refused without a reason: run with log_level: debug");
}

static void json_text(struct buf *b, const char *name, const char *text)
{
	buf_printf(b, "\"%s\":", name);
	if (!*text) {
		buf_str(b, "null");
		return;
	}
	buf_char(b, '"');
	buf_json(b, bytes_str(text));
	buf_char(b, '"');
}

int check_print_json(FILE *to, const struct features *f)
{
	_cleanup_(buf_free) struct buf b = { 0 };

	buf_printf(&b, "{\"usable\":%s,", f->usable ? "true" : "false");
	json_text(&b, "kernel", f->kernel);
	buf_char(&b, ',');
	json_text(&b, "advice", f->advice);
	buf_printf(&b, ",\"map_bytes\":%llu,\"features\":[", (unsigned long long)f->map_bytes);
	for (size_t i = 0; i < f->n; i++) {
		const struct feature *v = &f->v[i];

		buf_str(&b, i ? ",{" : "{");
		json_text(&b, "group", v->group);
		buf_char(&b, ',');
		json_text(&b, "name", v->name);
		buf_printf(&b, ",\"works\":%s,\"used\":%s,", v->state == FEATURE_NO ? "false" : "true",
			   v->state == FEATURE_USED ? "true" : "false");
		json_text(&b, "why", v->why);
		buf_char(&b, ',');
		json_text(&b, "lose", v->lose);
		buf_char(&b, '}');
	}
	buf_str(&b, "]}\n");
	if (b.failed)
		return -ENOMEM;
	fwrite(b.p, 1, b.n, to);
	return 0;
}

int cli_check(int argc, char **argv)
{
	_cleanup_free_ struct features *f = NULL;
	struct config *cfg;
	int status, r;

	if (!cli_begin(COMMAND_CHECK, argc, argv, NULL, &cfg, NULL, &status))
		return status;
	f = calloc(1, sizeof(*f));
	r = f ? features_probe(cfg, f) : -ENOMEM;
	if (f && r < 0) {
		f->usable = false;
		if (!*f->advice && (r == -EPERM || r == -EACCES))
			snprintf(f->advice, sizeof(f->advice), "run it as root: sudo sonde check");
		else if (!*f->advice)
			snprintf(f->advice, sizeof(f->advice), "the kernel could not be asked: %s", strerror(-r));
	}
	if (f && cfg->format == FORMAT_JSON)
		r = check_print_json(stdout, f);
	else if (f)
		check_print_text(stdout, f);
	if (!f || r == -ENOMEM)
		log_error("out of memory");
	config_free(cfg);
	return f && f->usable ? 0 : EXIT_KERNEL;
}
