/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Rust's tokio: its tasks are woken and started, see include/tokio_functions.def. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"

#define TOKIO_FUNCTION(id, number, symbol) TOKIO_##id = (number),
enum {
#include "tokio_functions.def"
};
#undef TOKIO_FUNCTION

SEC("?uprobe")
int tokio_entry(struct pt_regs *ctx)
{
	__u32 function = bpf_get_attach_cookie(ctx);

	if (function == TOKIO_WAKE_BY_VAL || function == TOKIO_WAKE_BY_REF)
		core_task_woken(ctx->di);
	else
		core_task_started(ctx->si);
	return 0;
}
