/* SPDX-License-Identifier: Apache-2.0 */
/* One reading of a YAML file: where it goes, and the mistakes found so far. Shared by yaml.c and rules.c. */
#ifndef SONDE_CONFIG_READING_H
#define SONDE_CONFIG_READING_H

#include "config/document.h"
#include "config/options.h"

struct mistake {
	unsigned line;
	size_t order; /* keeps those of one line in the order in which they were found */
	char *text;
};

struct reading {
	struct config_state *state;
	const char *name;
	const struct node **found; /* by index of options[]: the value in the file, or NULL */
	struct mistake *mistakes;
	size_t mistakes_n, mistakes_cap, unseen;
	int error; /* -ENOMEM once memory ran out */
};

void mistake(struct reading *r, unsigned line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* What a node is, for "got". o may be NULL. */
const char *describe(const struct option *o, const struct node *n, char *buf, size_t size);
/* An empty value: "key:" with all below it commented out. */
bool is_null(const struct node *n);
/* The value of select.include or select.exclude. */
void read_rules(struct reading *r, const struct option *o, const struct node *n);

#endif
