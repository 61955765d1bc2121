/* SPDX-License-Identifier: Apache-2.0 */
/* The sub-commands. Each takes its arguments without its own name and returns the exit status (keeper.h names them). */
#ifndef SONDE_CLI_CLI_H
#define SONDE_CLI_CLI_H

#include <stdio.h>

#include "config/config.h"

struct features;

struct command {
	const char *name, *usage, *help;
	int (*run)(int argc, char **argv);
};

extern const struct command commands[]; /* the last one has no name */

int cli_run(int argc, char **argv);
int cli_check(int argc, char **argv);
int cli_replay(int argc, char **argv);

/* sonde --help */
void cli_print_help(FILE *to);
/* sonde NAME: one line that says it is no command, with the nearest one. Exit status. */
int cli_unknown(const char *name);

/*
 * What every sub-command begins with: --help, then the configuration from all sources. True: *ret is the caller's to
 * free, and the log level is set. False: *ret_status is the exit status, all has been said. operand: what must follow
 * the flags ("FILE"), NULL for nothing; *ret_operand is it.
 */
bool cli_begin(enum config_command command, int argc, char **argv, const char *operand, struct config **ret,
	       const char **ret_operand, int *ret_status);
/* True when this process may load BPF programs; otherwise says what to do. */
bool cli_privileged(void);

/* sonde check: for people, in aligned columns; for programs, one JSON object. */
void check_print_text(FILE *to, const struct features *f);
/* 0 or -ENOMEM */
int check_print_json(FILE *to, const struct features *f);

#endif
