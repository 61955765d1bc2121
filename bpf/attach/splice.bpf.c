/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Bytes that leave a socket for a pipe, as HAProxy moves bodies: no receive function of sockets sees them. For the
 * backends whose hooks those are. Other system calls pay for a look at a bit. What was moved is in pages that no
 * program has.
 */
#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "attach/fd.bpf.h"
#include "attach/syscall_args.bpf.h"
#include "core/core.bpf.h"

SEC("?tp/syscalls/sys_exit_splice")
int socket_splice(struct trace_event_raw_sys_exit *ctx)
{
	struct pt_regs *r = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());
	struct io io = {};
	long ret = ctx->ret;

	if (ret < 0 || !fd_socket((int)BPF_CORE_READ(r, di), &io.sk, &io.ino))
		return 0;
	io_from_task(&io, IO_RECV, ret);
	return core_io(&io);
}
