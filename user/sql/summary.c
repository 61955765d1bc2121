/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/summary.h"

#include "sql/clean.h"

/* CREATE ... so many words ... TABLE; more are none of ours. */
#define OBJECT_WORDS 16

static void append(struct summary *s, struct bytes text)
{
	size_t start = s->out->n, chars;

	/* Longer than this it cannot fit: do not copy it first. */
	if (s->full || text.n > 4 * SUMMARY_CHARS) {
		s->full = true;
		return;
	}
	chars = sql_clean(s->out, text);
	if (s->chars + chars > SUMMARY_CHARS) {
		s->full = true;
		s->out->n = start;
		return;
	}
	s->chars += chars;
}

static void append_part(struct summary *s, struct bytes text)
{
	size_t start = s->out->n;

	if (start)
		append(s, BYTES_LITERAL(" "));
	append(s, text);
	if (s->full)
		s->out->n = start;
}

static void name_begin(struct summary *s, struct bytes text)
{
	s->name_start = s->out->n;
	s->name_chars = s->chars;
	s->name = NAME_PART;
	append_part(s, text);
}

static void name_drop(struct summary *s)
{
	s->out->n = s->name_start;
	s->chars = s->name_chars;
}

/* Takes the token if it belongs to the name being read: a period, or a part behind one. */
static bool name_continues(struct summary *s, enum sql_token token, struct bytes text)
{
	if (s->name == NAME_PART && token == SQL_SYMBOL && *text.p == '.')
		s->name = NAME_DOT;
	else if (s->name == NAME_DOT && (token == SQL_WORD || token == SQL_QUOTED))
		s->name = NAME_PART;
	else
		return false;
	if (s->name == NAME_PART) {
		append(s, BYTES_LITERAL("."));
		append(s, text);
		if (s->full)
			name_drop(s);
	}
	return true;
}

static struct summary_level *level(struct summary *s)
{
	return s->depth < SUMMARY_LEVELS ? &s->level[s->depth] : NULL;
}

static void open_paren(struct summary *s)
{
	struct summary_level *outer = level(s), *inner;

	s->depth++;
	inner = level(s);
	if (!inner)
		return;
	*inner = (struct summary_level){ 0 };
	if (!outer)
		return;
	/* FROM (a JOIN b ...), but not JOIN b USING (column). */
	if (outer->target && s->before != KW_USING)
		*inner = *outer;
	inner->brackets = 0;
	outer->target = false;
}

/* May INSERT, UPDATE, DELETE, MERGE or REPLACE be an operation here, and not part of another clause or a function? */
static bool operation_here(const struct summary *s)
{
	return !s->any_before || s->before_symbol == '(' || (s->before_symbol == ')' && s->nests) ||
	       s->before == KW_EXPLAIN || s->before == KW_ANALYZE || s->before == KW_VERBOSE ||
	       (s->before == KW_AS && s->first == KW_PREPARE);
}

static bool ends_targets(enum sql_keyword k)
{
	switch (k) {
	case KW_WHERE:
	case KW_GROUP:
	case KW_HAVING:
	case KW_ORDER:
	case KW_LIMIT:
	case KW_OFFSET:
	case KW_FETCH:
	case KW_FOR:
	case KW_WINDOW:
	case KW_SET:
	case KW_RETURNING:
	case KW_VALUES:
	case KW_UNION:
	case KW_EXCEPT:
	case KW_INTERSECT:
		return true;
	default:
		return false;
	}
}

/* Words between an operation, or FROM, and the target. */
static bool precedes_target(enum sql_keyword k, enum sql_keyword operation)
{
	switch (k) {
	case KW_INTO:
	case KW_ONLY:
	case KW_LATERAL:
	case KW_IGNORE:
	case KW_LOW_PRIORITY:
	case KW_HIGH_PRIORITY:
	case KW_DELAYED:
	case KW_QUICK:
		return true;
	case KW_TABLE:
		return operation == KW_TRUNCATE;
	default:
		return false;
	}
}

static bool reads_from(enum sql_keyword operation)
{
	return operation == KW_SELECT || operation == KW_DELETE || operation == KW_UPDATE;
}

/* FROM and its like: is a target next? */
static void query_clause(struct summary *s, struct summary_level *l, enum sql_keyword k)
{
	if (k == KW_FROM) {
		/* But not IS DISTINCT FROM, nor the one inside EXTRACT(). */
		if (reads_from(l->operation) && s->before != KW_DISTINCT)
			l->target = l->list = true;
	} else if (k == KW_JOIN || k == KW_STRAIGHT_JOIN) {
		l->target = l->list;
	} else if (k == KW_USING) {
		if (l->operation == KW_DELETE || l->operation == KW_MERGE)
			l->target = l->list = true;
	} else if (ends_targets(k)) {
		l->target = l->list = false;
		if (k == KW_UNION || k == KW_EXCEPT || k == KW_INTERSECT)
			s->joins_query =
				l->operation == KW_SELECT || (l->operation == KW_NONE && s->before_symbol == ')');
		else if (k == KW_VALUES && l->operation == KW_NONE)
			l->operation = k;
	}
}

static void query_word(struct summary *s, struct bytes text, enum sql_keyword k)
{
	struct summary_level *l = level(s);

	if (!l)
		return;
	if (k == KW_SELECT) {
		if (!s->joins_query)
			append_part(s, text);
		s->joins_query = false;
		*l = (struct summary_level){ .operation = k };
	} else if ((k == KW_INSERT || k == KW_UPDATE || k == KW_DELETE || k == KW_MERGE || k == KW_REPLACE) &&
		   operation_here(s)) {
		append_part(s, text);
		*l = (struct summary_level){ .operation = k, .list = k == KW_UPDATE, .target = k != KW_DELETE };
	} else if (l->target && k == KW_VALUES && s->before_symbol == '(') {
		*l = (struct summary_level){ .operation = k }; /* FROM (VALUES ...) */
	} else if (l->target) {
		if (precedes_target(k, l->operation))
			return;
		l->target = false;
		name_begin(s, text);
	} else if (k == KW_CURSOR && s->first == KW_DECLARE) {
		append_part(s, text);
	} else {
		query_clause(s, l, k);
	}
}

/* The first word of a statement. */
static void first_word(struct summary *s, struct bytes text, enum sql_keyword k)
{
	s->first = k;
	s->stage = SUMMARY_QUERY;
	switch (k) {
	case KW_SELECT:
	case KW_INSERT:
	case KW_UPDATE:
	case KW_DELETE:
	case KW_MERGE:
	case KW_REPLACE:
		query_word(s, text, k);
		return;
	case KW_WITH:
		s->nests = true;
		return;
	case KW_EXPLAIN:
	case KW_DESCRIBE:
	case KW_DESC:
		s->nests = true;
		break;
	case KW_CREATE:
	case KW_ALTER:
	case KW_DROP:
		s->stage = SUMMARY_OBJECT;
		break;
	case KW_CALL:
	case KW_EXEC:
	case KW_EXECUTE:
	case KW_TABLE:
		s->stage = SUMMARY_NAME;
		break;
	case KW_COPY:
	case KW_TRUNCATE:
		s->level[0] = (struct summary_level){ .operation = k, .list = k == KW_TRUNCATE, .target = true };
		break;
	case KW_START:
		s->stage = SUMMARY_WORD;
		break;
	case KW_DECLARE:
	case KW_PREPARE:
		break;
	default:
		s->stage = SUMMARY_DONE;
		if (!(sql_keyword_flags(k) & SQL_COMMAND))
			return;
	}
	append_part(s, text);
}

/* A word or quoted identifier somewhere behind CREATE, ALTER or DROP. */
static void object_word(struct summary *s, struct bytes text, enum sql_keyword k)
{
	if (s->stage == SUMMARY_OBJECT) {
		if (sql_keyword_flags(k) & SQL_OBJECT) {
			append_part(s, text);
			s->stage = SUMMARY_NAMES;
		} else if (++s->waited > OBJECT_WORDS) {
			s->stage = SUMMARY_DONE;
		}
	} else if (k == KW_TRIGGER && s->before == KW_EVENT) {
		append_part(s, text);
	} else if (k != KW_IF && k != KW_NOT && k != KW_EXISTS && k != KW_CONCURRENTLY && k != KW_ONLY && k != KW_ON) {
		name_begin(s, text);
		s->stage = SUMMARY_DONE;
	}
}

static void word(struct summary *s, struct bytes text, enum sql_keyword k)
{
	switch (s->stage) {
	case SUMMARY_START:
		first_word(s, text, k);
		return;
	case SUMMARY_QUERY:
		query_word(s, text, k);
		return;
	case SUMMARY_OBJECT:
	case SUMMARY_NAMES:
		object_word(s, text, k);
		return;
	case SUMMARY_NAME:
		name_begin(s, text);
		s->stage = SUMMARY_DONE;
		return;
	case SUMMARY_WORD:
		append_part(s, text);
		s->stage = SUMMARY_DONE;
		return;
	case SUMMARY_DONE:
		return;
	}
}

static void symbol(struct summary *s, char c, bool behind_name)
{
	struct summary_level *l = level(s);

	if (c == '(') {
		open_paren(s);
	} else if (c == ')') {
		if (s->depth)
			s->depth--;
	} else if (c == ',' && s->stage == SUMMARY_DONE && s->first == KW_DROP && behind_name) {
		s->stage = SUMMARY_NAMES;
	} else if (l && c == '[') {
		l->brackets++;
	} else if (l && c == ']') {
		l->brackets -= l->brackets > 0;
	} else if (c == ',' && s->stage == SUMMARY_QUERY && l && l->list && !l->brackets) {
		l->target = true;
	}
}

static void statement_end(struct summary *s)
{
	*s = (struct summary){ .out = s->out, .chars = s->chars, .full = s->full };
}

void summary_token(struct summary *s, enum sql_token token, struct bytes text, enum sql_keyword keyword, bool ends)
{
	char c = token == SQL_SYMBOL ? *text.p : '\0';
	bool behind_name = s->name != NAME_NONE;

	if (s->full)
		return;
	if (ends) {
		statement_end(s);
		return;
	}
	if (behind_name && name_continues(s, token, text))
		return;
	s->name = NAME_NONE;
	if (!s->any_before && c == '{') /* the JDBC escape {call f()} */
		return;
	if (token == SQL_WORD || token == SQL_QUOTED)
		word(s, text, keyword);
	else if (c && c != '?')
		symbol(s, c, behind_name);
	else if (s->stage == SUMMARY_NAMES || s->stage == SUMMARY_NAME)
		s->stage = SUMMARY_DONE;
	if (s->stage == SUMMARY_START && c != '(')
		s->stage = SUMMARY_DONE;
	s->before = keyword;
	s->before_symbol = c;
	s->any_before = true;
}

void summary_end(struct summary *s, bool cut)
{
	if (cut && s->name != NAME_NONE && !s->full)
		name_drop(s);
	if (s->out->p)
		s->out->p[s->out->n] = '\0';
}
