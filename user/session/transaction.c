/* SPDX-License-Identifier: Apache-2.0 */
#include "session/transaction.h"

#include "util/bytes.h"

struct bytes transaction_outcome_name(uint32_t outcome)
{
	return outcome == TRANSACTION_COMMIT	 ? BYTES_LITERAL("commit")
	       : outcome == TRANSACTION_ROLLBACK ? BYTES_LITERAL("rollback")
						 : (struct bytes){ 0 };
}

void transaction_describe(struct attrs *to, const struct transaction_end *end)
{
	attrs_double(to, ATTR_SONDE_DB_TRANSACTION_DURATION, (double)end->duration / 1e9);
	attrs_double(to, ATTR_SONDE_DB_TRANSACTION_IDLE_TIME, (double)end->idle / 1e9);
	attrs_int(to, ATTR_SONDE_DB_TRANSACTION_STATEMENTS, end->statements);
	attrs_str(to, ATTR_SONDE_DB_TRANSACTION_OUTCOME, transaction_outcome_name(end->outcome), 0);
}

struct transaction_end transaction_ended(const struct event_transaction *t, uint64_t end)
{
	uint64_t duration = end > t->began ? end - t->began : 0;

	return (struct transaction_end){ .duration = duration,
					 .idle = duration > t->busy ? duration - t->busy : 0,
					 .statements = t->statements,
					 .outcome = t->outcome };
}

void transaction_carry(struct transaction *t, const struct event_transaction *from)
{
	*t = (struct transaction){ .since = from->began,
				   .busy = from->busy,
				   .statements = from->statements,
				   .status = (char)from->status,
				   .open = from->began != 0,
				   .failed = from->status == 'E' };
}

/* From here on counts what a transaction that begins here would count. */
static void begin_at(struct transaction *t, uint64_t time)
{
	t->since = time;
	t->busy = 0;
	t->statements = 0;
	t->failed = false;
}

static bool ends(struct transaction *t, uint64_t time, uint8_t outcome, struct transaction_end *ret)
{
	const struct event_transaction e = {
		.began = t->since, .busy = t->busy, .statements = t->statements, .outcome = outcome
	};

	if (!t->open)
		return false;
	*ret = transaction_ended(&e, time);
	t->open = false;
	t->ended = true;
	begin_at(t, time); /* AND CHAIN: the next one begins here */
	return true;
}

static void add(struct transaction *t, const struct stream_operation *op)
{
	uint64_t from = op->start > t->busy_until ? op->start : t->busy_until;

	if (!t->since)
		begin_at(t, op->start);
	if (op->busy)
		t->busy += op->busy;
	else if (op->end > from)
		t->busy += op->end - from;
	if (op->end > t->busy_until)
		t->busy_until = op->end;
	t->statements++;
	t->failed |= op->op.sqlstate.n || op->op.error_number;
}

/* The next word in lower case, into out of n bytes with a NUL. */
static void next_word(struct bytes *text, char *out, size_t n)
{
	size_t at = 0;

	while (text->n && (unsigned char)text->p[0] <= ' ')
		*text = bytes_tail(*text, 1);
	for (; text->n; *text = bytes_tail(*text, 1)) {
		char c = (char)(text->p[0] | 0x20);

		if (c < 'a' || c > 'z')
			break;
		if (at + 1 < n)
			out[at++] = c;
	}
	out[at] = '\0';
}

/* ROLLBACK [WORK | TRANSACTION] TO, which ends nothing. */
static bool is_to_savepoint(struct bytes text)
{
	char word[16];

	next_word(&text, word, sizeof(word));
	if (strcmp(word, "rollback") != 0)
		return false;
	next_word(&text, word, sizeof(word));
	if (strcmp(word, "work") == 0 || strcmp(word, "transaction") == 0)
		next_word(&text, word, sizeof(word));
	return strcmp(word, "to") == 0;
}

static bool begins_with_rollback(struct bytes text)
{
	char word[16];

	next_word(&text, word, sizeof(word));
	return strcmp(word, "rollback") == 0;
}

static bool mysql_statement(struct transaction *t, const struct stream_operation *op, struct bytes text,
			    struct transaction_end *ret)
{
	char before = t->status, status = op->op.transaction_status;

	if (!status) /* an error does not say */
		return false;
	t->status = status;
	if (status == 'T') {
		t->open |= before == 'I';
		return false;
	}
	if (t->open)
		return ends(t, op->end, begins_with_rollback(text) ? TRANSACTION_ROLLBACK : TRANSACTION_COMMIT, ret);
	t->since = 0;
	return false;
}

bool transaction_statement(struct transaction *t, const struct stream_operation *op, struct bytes text,
			   struct transaction_end *ret)
{
	struct bytes tag = op->op.command_tag;

	if (op->op.proto == PROTO_MYSQL && t->status == 'I')
		t->since = 0;
	add(t, op);
	if (op->op.proto == PROTO_MYSQL)
		return mysql_statement(t, op, text, ret);
	if (bytes_eq(tag, BYTES_LITERAL("BEGIN")) || bytes_eq(tag, BYTES_LITERAL("START TRANSACTION"))) {
		if (t->open)
			return false;
		begin_at(t, op->start);
		t->busy = op->end > op->start ? op->end - op->start : 0;
		t->statements = 1;
		t->open = true;
		return false;
	}
	if (bytes_eq(tag, BYTES_LITERAL("COMMIT")) || bytes_eq(tag, BYTES_LITERAL("PREPARE TRANSACTION")))
		return ends(t, op->end, TRANSACTION_COMMIT, ret);
	if (bytes_eq(tag, BYTES_LITERAL("ROLLBACK")) && !is_to_savepoint(text))
		return ends(t, op->end, TRANSACTION_ROLLBACK, ret);
	return false;
}

bool transaction_ready(struct transaction *t, char status, struct transaction_end *ret)
{
	char before = t->status;
	bool ended = false;

	t->status = status;
	if (status != 'I') {
		/* none of the tags was a BEGIN's: COMMIT AND CHAIN, or one that was not seen */
		t->open |= t->since && (before == 'I' || t->ended);
		t->ended = false;
		return false;
	}
	if (t->open)
		ended = ends(t, t->busy_until, t->failed ? TRANSACTION_ROLLBACK : TRANSACTION_COMMIT, ret);
	t->since = 0;
	t->ended = false;
	return ended;
}

void transaction_lost(struct transaction *t)
{
	*t = (struct transaction){ 0 };
}

bool transaction_closed(struct transaction *t, uint64_t time, struct transaction_end *ret)
{
	return ends(t, time, TRANSACTION_ROLLBACK, ret);
}
