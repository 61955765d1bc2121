/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/thread.bpf.h"
#include "maps.bpf.h"

/* Only of threads that have read a request: others link nothing. */
__noinline int core_callback_begins(int ends_turn)
{
	struct thread *t = thread_of(bpf_get_current_pid_tgid(), 0);

	if (!t || !t->serves)
		return 0;
	t->callback = ends_turn ? (t->callback | (CALLBACK_TURN - 1)) + 1 : t->callback + 1;
	if (!t->callback) /* 0 = they are not told */
		t->callback = ends_turn ? CALLBACK_TURN : 1;
	return 0;
}
