/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the name that a mistyped word is nearest to. */
#ifndef SONDE_CONFIG_SUGGEST_H
#define SONDE_CONFIG_SUGGEST_H

#include <stddef.h>

#include "util/bytes.h"

struct suggestion {
	struct bytes word; /* what was typed */
	size_t distance;   /* of best */
	struct bytes best; /* empty: nothing is near enough */
};

/* Start with a word that is at most SUGGEST_MAX long (longer ones get no suggestion), offer each name, read best. */
enum { SUGGEST_MAX = 48 };

struct suggestion suggest_for(struct bytes word);
void suggest_offer(struct suggestion *s, struct bytes name);

#endif
