/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/questions.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS 64
#define QUEUE_MAX 4096
#define SETTLE_NS 10000000ULL /* most programs of a shell script are over before it pays to ask about them */

struct slot {
	struct program *program; /* NULL = free */
	uint32_t tgid, token;
	enum program_fact fact;
};

struct queued {
	struct program *program;
	uint32_t tgid;
	bool soon;
	uint64_t time;
};

struct questions {
	struct outbox *out;
	questions_learned_fn *learned;
	questions_runs_fn *runs;
	void *learned_context, *runs_context;
	struct slot slots[SLOTS];
	size_t used;
	uint32_t next_token;
	struct queued queue[QUEUE_MAX]; /* a ring */
	size_t head, waiting;
};

static const struct {
	enum program_fact fact;
	enum target_file file;
} facts[] = { { FACT_EXE, TARGET_EXE_LINK },
	      { FACT_ARGS, TARGET_CMDLINE },
	      { FACT_ENV, TARGET_ENVIRON },
	      { FACT_CGROUP, TARGET_CGROUP },
	      { FACT_CWD, TARGET_CWD_LINK } };

#define FACTS (sizeof(facts) / sizeof(facts[0]))

struct questions *questions_new(struct outbox *out, questions_learned_fn *learned, void *learned_context,
				questions_runs_fn *runs, void *runs_context)
{
	struct questions *q = calloc(1, sizeof(*q));

	if (!q)
		return NULL;
	q->out = out;
	q->learned = learned;
	q->learned_context = learned_context;
	q->runs = runs;
	q->runs_context = runs_context;
	return q;
}

void questions_free(struct questions *q)
{
	if (!q)
		return;
	for (size_t i = 0; i < SLOTS; i++)
		program_unref(q->slots[i].program);
	for (; q->waiting; q->waiting--, q->head++)
		program_unref(q->queue[q->head % QUEUE_MAX].program);
	free(q);
}

void questions_settle(struct questions *q, uint32_t tgid, struct program *program)
{
	if (program->known)
		return;
	program->known = true;
	if (q->learned)
		q->learned(q->learned_context, tgid, program);
}

static bool ask_one(struct questions *q, uint32_t tgid, struct program *program, size_t fact)
{
	struct message_open m = { .kind = MESSAGE_OPEN, .tgid = tgid, .file = facts[fact].file };
	size_t i = 0;

	while (q->slots[i].program)
		i++;
	m.token = (q->next_token++ & 0xffffff) << 6 | (uint32_t)i; /* below 2^30: libraries.c has the rest */
	if (outbox_send(q->out, &m, sizeof(m)))
		return false;
	q->slots[i] = (struct slot){ program_ref(program), tgid, m.token, facts[fact].fact };
	q->used++;
	program->asked |= facts[fact].fact;
	return true;
}

/* False: no room for all questions of one program now. */
static bool ask(struct questions *q, uint32_t tgid, struct program *program, uint64_t now)
{
	if (program->known || program->asked)
		return true;
	if (SLOTS - q->used < FACTS)
		return false;
	program->since = now;
	for (size_t i = 0; i < FACTS; i++)
		if (program->wanted & facts[i].fact && !ask_one(q, tgid, program, i))
			program->wanted &= ~(unsigned)facts[i].fact;
	if (!program->asked)
		questions_settle(q, tgid, program);
	return true;
}

void questions_ask(struct questions *q, uint32_t tgid, struct program *program, bool soon, uint64_t now)
{
	if (program->known || program->asked || (soon && ask(q, tgid, program, now)))
		return;
	if (program->queued || q->waiting == QUEUE_MAX)
		return; /* in line already, or asked about when it speaks */
	program->queued = true;
	program->since = now;
	q->queue[(q->head + q->waiting++) % QUEUE_MAX] = (struct queued){ program_ref(program), tgid, soon, now };
}

void questions_tick(struct questions *q, uint64_t now)
{
	while (q->waiting) {
		struct queued *first = &q->queue[q->head % QUEUE_MAX];

		if (q->runs(q->runs_context, first->tgid, first->program)) {
			if (!first->soon && now < first->time + SETTLE_NS)
				return;
			if (!ask(q, first->tgid, first->program, now))
				return;
		}
		first->program->queued = false;
		program_unref(first->program);
		q->head++;
		q->waiting--;
	}
}

void questions_opened(struct questions *q, const struct message_opened *m, struct bytes text, uint64_t now)
{
	struct slot *slot = &q->slots[m->token % SLOTS], taken = *slot;
	struct program *program = slot->program;

	if (!program || slot->token != m->token)
		return;
	*slot = (struct slot){ 0 };
	q->used--;
	program->wanted &= ~(unsigned)taken.fact;
	if (!m->error && !program->known) {
		if (taken.fact == FACT_EXE)
			buf_add(&program->exe, bytes_of(m->path, strnlen(m->path, sizeof(m->path))));
		else if (taken.fact == FACT_CWD)
			buf_add(&program->cwd, bytes_of(m->path, strnlen(m->path, sizeof(m->path))));
		else if (taken.fact == FACT_ARGS)
			buf_add(&program->args, text);
		else if (taken.fact == FACT_ENV)
			program_environment(program, text);
		else
			buf_add(&program->cgroup, text);
	}
	if (!program->wanted)
		questions_settle(q, taken.tgid, program);
	program_unref(program);
	questions_tick(q, now);
}
