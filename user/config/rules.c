/* SPDX-License-Identifier: Apache-2.0 */
/* select.include and select.exclude of the YAML file. */
#include <errno.h>
#include <stdlib.h>

#include "config/reading.h"
#include "config/suggest.h"

static void unknown_rule_field(struct reading *r, const struct node *key)
{
	struct suggestion s = suggest_for(key->text);
	const char *got;
	char buf[96];

	for (size_t i = 0; i < rule_fields_n; i++)
		suggest_offer(&s, bytes_str(rule_fields[i].name));
	got = describe(NULL, key, buf, sizeof(buf));
	if (s.best.n)
		mistake(r, key->line, "expected a field of a rule, got %s; did you mean %.*s?", got, (int)s.best.n,
			s.best.p);
	else
		mistake(r, key->line, "expected executable, command, container, pid, port or service, got %s", got);
}

static void set_rule_number(struct reading *r, const struct rule_field *f, struct config_rule *rule,
			    const struct node *value)
{
	uint64_t v = 0, max = f->type == RULE_PORT ? UINT16_MAX : 1 << 22;
	char got[96];

	if (value->kind != NODE_SCALAR || !parse_number(value->text, &v) || !v || v > max) {
		mistake(r, value->line, "%s: expected a whole number from 1 to %llu, got %s", f->name,
			(unsigned long long)max, describe(NULL, value, got, sizeof(got)));
		return;
	}
	if (f->type == RULE_PORT)
		rule->port = (uint16_t)v;
	else
		rule->pid = (uint32_t)v;
}

static void set_rule_text(struct reading *r, const struct rule_field *f, struct config_rule *rule,
			  const struct node *value)
{
	char **at = (char **)((char *)rule + f->offset), got[96];

	if (value->kind != NODE_SCALAR || value->text.n > OPTION_TEXT_MAX) {
		mistake(r, value->line, "%s: expected a text of at most %d bytes, got %s", f->name, OPTION_TEXT_MAX,
			describe(NULL, value, got, sizeof(got)));
		return;
	}
	if (f->type == RULE_GLOB && !glob_valid(value->text.p)) {
		mistake(r, value->line, "%s: expected a glob such as python3* or [a-c]*, got %s: %s", f->name,
			describe(NULL, value, got, sizeof(got)), "a bracket is not closed or a backslash ends it");
		return;
	}
	free(*at); /* a field that stands twice has been complained of */
	*at = strdup(value->text.p);
	if (!*at)
		r->error = -ENOMEM;
}

static void read_rule(struct reading *r, const struct node *n, bool exclude, struct config_rule *rule)
{
	bool matcher = false, wrong = false, seen[8] = { 0 };

	for (const struct node *key = n->child; key && key->next; key = key->next->next) {
		const struct node *value = key->next;
		size_t i = 0;

		while (i < rule_fields_n && !bytes_eq(key->text, bytes_str(rule_fields[i].name)))
			i++;
		if (key->kind != NODE_SCALAR || i == rule_fields_n) {
			unknown_rule_field(r, key);
			wrong = true;
			continue;
		}
		if (seen[i]) {
			mistake(r, key->line, "expected %s once in a rule, got it again", rule_fields[i].name);
			continue;
		}
		seen[i] = true;
		if (rule_fields[i].type != RULE_NAME)
			matcher = true;
		else if (exclude)
			mistake(r, key->line, "expected service only under select.include, got it under exclude");
		if (is_null(value)) {
			mistake(r, value->line, "%s: expected a value, got nothing", rule_fields[i].name);
			continue;
		}
		if (rule_fields[i].type == RULE_PID || rule_fields[i].type == RULE_PORT)
			set_rule_number(r, &rule_fields[i], rule, value);
		else
			set_rule_text(r, &rule_fields[i], rule, value);
	}
	if (!matcher && !wrong)
		mistake(r, n->line,
			"expected a rule with executable, command, container, pid or port, got none of them");
}

void read_rules(struct reading *r, const struct option *o, const struct node *n)
{
	bool exclude = o->offset == offsetof(struct config_state, c.exclude);
	struct config_rule **rules = exclude ? &r->state->c.exclude : &r->state->c.include;
	size_t *rules_n = exclude ? &r->state->c.exclude_n : &r->state->c.include_n, count = 0;
	struct config_rule *v;
	char got[96];

	if (n->kind != NODE_LIST) {
		mistake(r, n->line, "%s: expected a list of rules, each with '- ' before it, got %s", o->yaml,
			describe(NULL, n, got, sizeof(got)));
		return;
	}
	for (const struct node *item = n->child; item; item = item->next)
		count++;
	v = realloc(*rules, (*rules_n + count + 1) * sizeof(*v));
	if (!v) {
		r->error = -ENOMEM;
		return;
	}
	*rules = v;
	for (const struct node *item = n->child; item; item = item->next) {
		if (item->kind != NODE_MAPPING) {
			mistake(r, item->line, "%s: expected a rule such as executable: python3*, got %s", o->yaml,
				describe(NULL, item, got, sizeof(got)));
			continue;
		}
		v[*rules_n] = (struct config_rule){ 0 };
		read_rule(r, item, exclude, &v[(*rules_n)++]);
	}
}
