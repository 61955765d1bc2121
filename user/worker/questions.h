/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the keeper for what only it can read of a program: path, arguments, environment, control group. A few at a time.
 */
#ifndef SONDE_WORKER_QUESTIONS_H
#define SONDE_WORKER_QUESTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/messages.h"
#include "worker/outbox.h"
#include "worker/program.h"

struct questions;

/* Called once for each program, when all that can be learned of it was. */
typedef void questions_learned_fn(void *context, uint32_t tgid, struct program *program);
/* True while the process runs this program. */
typedef bool questions_runs_fn(void *context, uint32_t tgid, const struct program *program);

/* NULL when out of memory. learned may be NULL. */
struct questions *questions_new(struct outbox *out, questions_learned_fn *learned, void *learned_context,
				questions_runs_fn *runs, void *runs_context);
void questions_free(struct questions *q); /* NULL is allowed */
/* soon: now, or when there is room; else only if the process still runs it a moment later. Asked only once. */
void questions_ask(struct questions *q, uint32_t tgid, struct program *program, bool soon, uint64_t now);
/* Any answer; those to others are ignored. text: what was read from the file that came with it. */
void questions_opened(struct questions *q, const struct message_opened *m, struct bytes text, uint64_t now);
void questions_tick(struct questions *q, uint64_t now);
/* Stops waiting: the program is known as far as it is. */
void questions_settle(struct questions *q, uint32_t tgid, struct program *program);

#endif
