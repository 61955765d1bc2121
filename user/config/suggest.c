/* SPDX-License-Identifier: Apache-2.0 */
#include "config/suggest.h"

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment: insert, delete, replace, and swap of neighbours cost 1 each. Both at most SUGGEST_MAX long.
 */
static size_t distance(struct bytes a, struct bytes b)
{
	size_t row[3][SUGGEST_MAX + 1];

	for (size_t j = 0; j <= b.n; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t *now = row[i % 3], *last = row[(i - 1) % 3], *before = row[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			now[j] = least(last[j] + 1, now[j - 1] + 1);
			now[j] = least(now[j], last[j - 1] + (a.p[i - 1] != b.p[j - 1]));
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
				now[j] = least(now[j], before[j - 2] + 1);
		}
	}
	return row[a.n % 3][b.n];
}

struct suggestion suggest_for(struct bytes word)
{
	return (struct suggestion){ .word = word, .distance = SUGGEST_MAX };
}

void suggest_offer(struct suggestion *s, struct bytes name)
{
	size_t d;

	if (!s->word.n || s->word.n > SUGGEST_MAX || !name.n || name.n > SUGGEST_MAX)
		return;
	/* a start of a name is as good as two slips: "dur" means duration */
	d = s->word.n >= 3 && bytes_starts(name, s->word) ? 2 : distance(s->word, name);
	/* a third of the word may be wrong, else anything would look like anything */
	if (d > 2 && d > s->word.n / 3)
		return;
	if (d >= s->word.n || d >= s->distance)
		return;
	s->distance = d;
	s->best = name;
}
