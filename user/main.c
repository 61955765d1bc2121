/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "keeper/keeper.h"
#include "util/log.h"

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : NULL;

	if (!name) {
		log_error("expected a command, got nothing; 'sonde --help' lists them, 'sudo sonde run' observes");
		return EXIT_CONFIG;
	}
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
		cli_print_help(stdout);
		return 0;
	}
	if (strcmp(name, "--version") == 0) {
		printf("sonde %s\n", SONDE_VERSION);
		return 0;
	}
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(name, c->name) == 0)
			return c->run(argc - 2, argv + 2);
	return cli_unknown(name);
}
