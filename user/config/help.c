/* SPDX-License-Identifier: Apache-2.0 */
/* The part of --help that comes from the table. */
#include "config/options.h"

static void print_flags(FILE *to, unsigned commands)
{
	for (size_t i = 0; i < options_n; i++) {
		const struct option *o = &options[i];

		if (!o->flag || !(o->commands & commands))
			continue;
		fprintf(to, "  --%s %-*s %s", o->flag, (int)(27 - strlen(o->flag)), o->argument, o->help);
		if (o->fallback)
			fprintf(to, " (default %s)", o->fallback);
		fputc('\n', to);
		if (o->type == OPTION_NAME) {
			fprintf(to, "  %30s one of", "");
			for (const struct choice *c = o->choices; c->name; c++)
				fprintf(to, "%s %s", c == o->choices ? "" : ",", c->name);
			fputc('\n', to);
		}
	}
	fprintf(to, "  --%-28s %s\n", "help", "print this and exit");
}

static void print_settings(FILE *to)
{
	fputs("\nSettings of the YAML file, with the environment variable that overrides each:\n", to);
	for (size_t i = 0; i < options_n; i++) {
		const struct option *o = &options[i];

		if (!o->yaml || o->narrow)
			continue;
		fprintf(to, "  %-30s %s", o->yaml, o->help);
		if (o->fallback)
			fprintf(to, " (default %s)", o->fallback);
		fputc('\n', to);
		if (o->env)
			fprintf(to, "  %30s %s\n", "", o->env);
	}
	fputs("\nEach otlp setting also exists as otlp.traces.* and otlp.metrics.* (OTEL_EXPORTER_OTLP_TRACES_*,\n"
	      "OTEL_EXPORTER_OTLP_METRICS_*), which wins for that signal.\n",
	      to);
	fputs("\nFields of a rule; every field that is set must match:\n", to);
	for (size_t i = 0; i < rule_fields_n; i++)
		fprintf(to, "  %-30s %s\n", rule_fields[i].name, rule_fields[i].help);
}

void config_print_command_help(FILE *to, enum config_command command)
{
	fputs("Flags:\n", to);
	print_flags(to, command);
}

void config_print_help(FILE *to)
{
	fputs("Flags:\n", to);
	print_flags(to, COMMAND_RUN | COMMAND_CHECK | COMMAND_REPLAY);
	print_settings(to);
}
