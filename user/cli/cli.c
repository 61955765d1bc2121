/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli.h"

#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/suggest.h"
#include "keeper/keeper.h"
#include "util/log.h"

extern char **environ;

const struct command commands[] = {
	{ "run", "run [FLAGS]", "observe the services of this host until stopped (needs root)", cli_run },
	{ "check", "check [FLAGS]", "say what this kernel allows, and what is lost by it (needs root)", cli_check },
	{ "replay", "replay FILE [FLAGS]", "run over what `sonde run --record FILE` kept", cli_replay },
	{ 0 },
};

void cli_print_help(FILE *to)
{
	fputs("Sonde watches unmodified services from the kernel and reports their traces and metrics.\n\nUsage:\n",
	      to);
	for (const struct command *c = commands; c->name; c++)
		fprintf(to, "  sonde %-27s %s\n", c->usage, c->help);
	fprintf(to, "  sonde %-27s %s\n  sonde %-27s %s\n\n", "--version", "print the version", "--help", "print this");
	config_print_command_help(to, COMMAND_RUN | COMMAND_CHECK | COMMAND_REPLAY);
	fputs("\n`sonde run --help` also lists the settings of the YAML file and the OTEL_* variables.\n"
	      "Exit status: 0 fine, 2 wrong command line or configuration, 3 this kernel or user cannot do it.\n",
	      to);
}

int cli_unknown(const char *name)
{
	struct suggestion s = suggest_for(bytes_str(name));

	for (const struct command *c = commands; c->name; c++)
		suggest_offer(&s, bytes_str(c->name));
	if (s.best.n)
		log_error("'%.64s' is not a command; did you mean 'sonde %.*s'?", name, (int)s.best.n, s.best.p);
	else
		log_error("'%.64s' is not a command; 'sonde --help' lists them", name);
	return EXIT_CONFIG;
}

static void print_error(void *context, const char *line)
{
	(void)context;
	log_error("%s", line);
}

static void print_warning(void *context, const char *line)
{
	(void)context;
	log_warn("%s", line);
}

static bool asks_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
			return true;
	return false;
}

static void print_command_help(enum config_command command)
{
	const struct command *c = &commands[command == COMMAND_RUN ? 0 : command == COMMAND_CHECK ? 1 : 2];

	printf("sonde %s: %s\n\n", c->usage, c->help);
	if (command == COMMAND_RUN)
		config_print_help(stdout);
	else
		config_print_command_help(stdout, command);
}

/* Exactly the operands that the command takes. */
static bool operands_fit(int argc, char **argv, int rest, const char *operand)
{
	int wanted = operand ? 1 : 0;

	if (argc - rest > wanted) {
		log_error("'%.256s': expected nothing more, got this", argv[rest + wanted]);
		return false;
	}
	if (argc - rest < wanted) {
		log_error("expected %s, got nothing", operand);
		return false;
	}
	return true;
}

bool cli_begin(enum config_command command, int argc, char **argv, const char *operand, struct config **ret,
	       const char **ret_operand, int *ret_status)
{
	struct config *cfg;
	int rest, r;

	if (asks_help(argc, argv)) {
		print_command_help(command);
		*ret_status = 0;
		return false;
	}
	cfg = config_new();
	r = cfg ? config_load(cfg, command, argc, argv, environ, &rest, print_error, print_warning, NULL) : -1;
	if (r < 0)
		log_error("out of memory while reading the configuration");
	if (r != 0 || !operands_fit(argc, argv, rest, operand)) {
		config_free(cfg);
		*ret_status = r < 0 ? 1 : EXIT_CONFIG;
		return false;
	}
	log_set_level((enum log_level)cfg->log_level);
	if (operand)
		*ret_operand = argv[rest];
	*ret = cfg;
	return true;
}

bool cli_privileged(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
	uint64_t have;

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	have = data[0].effective | (uint64_t)data[1].effective << 32;
	if (have & (1ull << CAP_SYS_ADMIN) || (have & (1ull << CAP_BPF) && have & (1ull << CAP_PERFMON)))
		return true;
	if (geteuid() == 0)
		log_error("this container or unit may not load BPF programs (CAP_BPF and CAP_PERFMON are missing). "
			  "Run it privileged, or add them");
	else
		log_error("observing needs root, to load BPF programs into the kernel. Run: sudo sonde run");
	return false;
}
