/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Node.js: its event loop begins with another thing that has happened, see include/node_functions.def. */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"

#define NODE_FUNCTION(id, number, symbol) NODE_##id = (number),
enum {
#include "node_functions.def"
};
#undef NODE_FUNCTION

SEC("?uprobe")
int node_entry(struct pt_regs *ctx)
{
	core_callback_begins((__u32)bpf_get_attach_cookie(ctx) == NODE_IMMEDIATES);
	return 0;
}
