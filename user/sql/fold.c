/* SPDX-License-Identifier: Apache-2.0 */
#include "sql/sanitise.h"

static void item_start(struct sql_fold *f)
{
	f->item = SQL_HASH_START;
	f->value = f->parameter = false;
	f->empty = true;
}

static void list_start(struct sql_fold *f, int state)
{
	*f = (struct sql_fold){ .state = state };
	item_start(f);
}

/* The item is whole: remember the first, take back those that equal it. */
static void item_end(struct sql_writer *w)
{
	struct sql_fold *f = &w->fold;

	if (!f->have_first) {
		f->have_first = true;
		f->first = f->item;
		f->first_parameter = f->parameter;
	} else if (f->item == f->first && f->value) {
		w->hash = f->hash_at;
		/* Text with numbered parameters stays as written. */
		if (!w->full && !f->parameter && !f->first_parameter) {
			w->text->n = f->text_at;
			w->gap = false;
		}
	}
}

static void comma(struct sql_writer *w)
{
	w->fold.text_at = w->text->n;
	w->fold.hash_at = w->hash;
}

static bool opens(char c)
{
	return c == '(' || c == '[';
}

static bool closes(char c)
{
	return c == ')' || c == ']';
}

void sql_fold_before(struct sql_writer *w, char symbol, enum sql_keyword keyword)
{
	struct sql_fold *f = &w->fold;

	if (symbol == ';') /* no list goes on behind it, also where it ends no statement: in a conditional comment */
		f->state = FOLD_NONE;
	switch (f->state) {
	case FOLD_NEXT:
		if (f->opener == KW_VALUES && symbol == '(')
			list_start(f, FOLD_ROW);
		return;
	case FOLD_LIST:
		if (f->empty && (keyword == KW_SELECT || keyword == KW_WITH)) {
			f->state = FOLD_NONE;
		} else if (f->depth == 0 && (symbol == ',' || closes(symbol))) {
			item_end(w);
			if (symbol == ',')
				comma(w);
			else
				f->state = FOLD_NONE;
		}
		return;
	case FOLD_BEHIND_ROW:
		f->state = symbol == ',' ? FOLD_BEHIND_COMMA : FOLD_NONE;
		comma(w);
		return;
	case FOLD_BEHIND_COMMA:
		f->state = symbol == '(' ? FOLD_ROW : FOLD_NONE;
		item_start(f);
		return;
	default:
		return;
	}
}

static void item_token(struct sql_fold *f, enum sql_token token, char symbol)
{
	f->empty = false;
	f->parameter |= token == SQL_PARAMETER;
	f->value |= token == SQL_LITERAL || token == SQL_PARAMETER || symbol == '?';
	if (opens(symbol))
		f->depth++;
	else if (closes(symbol) && f->depth)
		f->depth--;
}

void sql_fold_after(struct sql_writer *w, enum sql_token token, char symbol, enum sql_keyword keyword)
{
	struct sql_fold *f = &w->fold;

	if (f->state == FOLD_NEXT) {
		f->state = FOLD_NONE;
		if (symbol && symbol == (f->opener == KW_ARRAY ? '[' : '(')) {
			list_start(f, FOLD_LIST);
			return;
		}
	}
	if (f->state == FOLD_LIST && symbol == ',' && f->depth == 0) {
		item_start(f);
	} else if (f->state == FOLD_LIST || f->state == FOLD_ROW) {
		item_token(f, token, symbol);
		if (f->state == FOLD_ROW && f->depth == 0) {
			item_end(w);
			f->state = FOLD_BEHIND_ROW;
		}
	}
	if (f->state == FOLD_NONE && (keyword == KW_IN || keyword == KW_ARRAY || keyword == KW_VALUES)) {
		f->state = FOLD_NEXT;
		f->opener = keyword;
	}
}
