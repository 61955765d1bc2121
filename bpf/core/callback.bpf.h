/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* In which callback of its event loop a thread asks, reads and answers: struct event_exchange.callbacks. */
#ifndef SONDE_CORE_CALLBACK_BPF_H
#define SONDE_CORE_CALLBACK_BPF_H

#include "core/conn.bpf.h"

/* t: the thread that asks, or reads a request; NULL = not known. */
static __always_inline void callback_asked(struct event_exchange *ex, const struct thread *t)
{
	if (!t || !t->callback)
		return;
	ex->callbacks.asked = t->callback;
	ex->callbacks.answered = 0;
	ex->flags |= EXCHANGE_CALLBACKS;
}

/*
 * t: the same thread, which reads the answer, or begins it; NULL = it is another. It may have asked before callbacks
 * were counted.
 */
static __always_inline void callback_answered(struct event_exchange *ex, const struct thread *t)
{
	if (!t) {
		ex->flags &= ~EXCHANGE_CALLBACKS;
	} else if (t->callback) {
		ex->callbacks.answered = t->callback;
		ex->flags |= EXCHANGE_CALLBACKS;
	}
}

#endif
