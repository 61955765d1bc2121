/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Node.js: its event loop begins with another thing that has happened, see include/node_functions.def. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"

SEC("?uprobe")
int node_entry(struct pt_regs *ctx)
{
	(void)ctx;
	core_callback_begins();
	return 0;
}
