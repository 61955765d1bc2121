/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * uvloop's UVStream._initiate_write(): a transport was given something to write, and the loop will do that in the end
 * of its turn, or at once when it is much. The stream is told from its descriptor. How the objects are laid out:
 * uvloop/handles/handle.pxd (UVHandle), libuv's uv.h and uv/unix.h (uv_stream_t, uv__io_t); seen with uvloop 0.17 to
 * 0.23.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "attach/fd.bpf.h"
#include "core/core.bpf.h"

#define UVLOOP_HANDLE 24 /* in a UVHandle: its uv_handle_t */
#define UV_STREAM_FD 184 /* in a uv_stream_t: io_watcher.fd */

SEC("?uprobe")
int uvloop_entry(struct pt_regs *ctx)
{
	__u64 handle, sk, ino;
	int fd;

	if (bpf_probe_read_user(&handle, sizeof(handle), (void *)ctx->di + UVLOOP_HANDLE) ||
	    bpf_probe_read_user(&fd, sizeof(fd), (void *)handle + UV_STREAM_FD))
		return 0;
	if (fd_socket(fd, &sk, &ino))
		core_written_later(&sk);
	return 0;
}
