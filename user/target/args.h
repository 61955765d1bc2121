/* SPDX-License-Identifier: Apache-2.0 */
/* A walk over a command line, and over its options without knowing all of them. Pure. */
#ifndef SONDE_TARGET_ARGS_H
#define SONDE_TARGET_ARGS_H

#include "util/bytes.h"

struct args {
	struct bytes rest;
	char separator; /* NUL, or a space in a title that a process wrote over its arguments */
};

struct args args_of(struct bytes command_line);
/* False at the end. */
bool args_next(struct args *a, struct bytes *ret);

struct args_option {
	struct bytes name, value; /* name with its dashes; value empty when it has none */
};

/*
 * The next of a command line whose options take values (-xVALUE, --x=VALUE, or the next argument) unless they are
 * listed in flags (NULL-terminated; "--no-*" always stands alone). A positional argument has no name. False at the end.
 */
bool args_next_option(struct args *a, const char *const *flags, struct args_option *ret);
/* The value of an option by its long name ("--app") or short one ("-A"; NULL = none), wherever it stands. */
struct bytes args_find(struct args a, const char *long_name, const char *short_name);

#endif
