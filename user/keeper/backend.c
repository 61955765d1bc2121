/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/backend.h"

#include <bpf/btf.h>
#include <stdio.h>
#include <string.h>

const struct backend backends[] = {
	{
		.name = "tp_btf",
		.plain = "sock_send_length/sock_recv_length",
		.needs = "the tracepoint is in kernels from 6.3 on",
		.programs = { { "tp_btf_send", "sock_send_length", false, NULL },
			      { "tp_btf_recv", "sock_recv_length", false, NULL },
			      { "socket_splice", NULL, true, NULL },
			      { "uring_submit", "io_uring_submit_req", true, NULL },
			      { "tp_btf_send_begins", "tcp_sendmsg_locked", true, NULL } },
	},
	{
		.name = "fentry",
		.plain = "entry and exit of the socket functions",
		.needs = "needs BTF, and a kernel that lets functions be traced (CONFIG_FUNCTION_TRACER)",
		.programs = { { "fentry_tcp_send", NULL, false, "tcp_sendmsg" },
			      { "fexit_tcp_send", NULL, false, "tcp_sendmsg" },
			      { "fentry_tcp_recv", NULL, false, "tcp_recvmsg" },
			      { "fexit_tcp_recv", NULL, false, "tcp_recvmsg" },
			      { "fentry_unix_send", NULL, false, "unix_stream_sendmsg" },
			      { "fexit_unix_send", NULL, false, "unix_stream_sendmsg" },
			      { "fentry_unix_recv", NULL, false, "unix_stream_recvmsg" },
			      { "fexit_unix_recv", NULL, false, "unix_stream_recvmsg" },
			      { "socket_splice", NULL, true, NULL },
			      { "fexit_tcp_sendpage", NULL, true, "tcp_sendpage" },
			      { "fexit_unix_sendpage", NULL, true, "unix_stream_sendpage" } },
		.calls = true,
	},
	{
		.name = "kprobe",
		.plain = "kprobes of the socket functions",
		.needs = "needs kprobes (CONFIG_KPROBES) and the sys_exit tracepoint",
		.programs = { { "kprobe_result", "sys_exit", false, NULL },
			      { "kprobe_tcp_send", NULL, false, "tcp_sendmsg" },
			      { "kprobe_tcp_recv", NULL, false, "tcp_recvmsg" },
			      { "kprobe_unix_send", NULL, false, "unix_stream_sendmsg" },
			      { "kprobe_unix_recv", NULL, false, "unix_stream_recvmsg" },
			      { "socket_splice", NULL, true, NULL },
			      { "kprobe_tcp_sendpage", NULL, true, "tcp_sendpage" },
			      { "kprobe_unix_sendpage", NULL, true, "unix_stream_sendpage" },
			      { "kretprobe_tcp_send", NULL, true, "tcp_sendmsg" },
			      { "kretprobe_tcp_recv", NULL, true, "tcp_recvmsg" },
			      { "kretprobe_unix_send", NULL, true, "unix_stream_sendmsg" },
			      { "kretprobe_unix_recv", NULL, true, "unix_stream_recvmsg" } },
		.calls = true,
	},
	{
		.name = "syscall",
		.plain = "the exit of system calls",
		.needs = "needs BTF and the sys_exit tracepoint (CONFIG_FTRACE_SYSCALLS)",
		.programs = { { "syscall_exit", "sys_exit", false, NULL },
			      { "tp_btf_send_begins", "tcp_sendmsg_locked", true, NULL } },
	},
	{ 0 },
};

const struct program lifecycle_programs[] = {
	{ "socket_state", "inet_sock_set_state", false, NULL },
	{ "socket_destroy", "tcp_destroy_sock", false, NULL },
	{ "socket_close", NULL, true, NULL },
	{ "process_fork", "sched_process_fork", false, NULL },
	{ "process_exec", "sched_process_exec", false, NULL },
	{ "process_exit", "sched_process_exit", false, NULL },
	{ "sweep", NULL, false, NULL },
	{ "sockets", NULL, true, NULL },
	{ 0 },
};

const struct program library_programs[] = {
	{ "libpq_entry", NULL, true, NULL },   { "libpq_return", NULL, true, NULL },
	{ "openssl_entry", NULL, true, NULL }, { "openssl_return", NULL, true, NULL },
	{ "uvloop_entry", NULL, true, NULL },  { "node_entry", NULL, true, NULL },
	{ "tokio_entry", NULL, true, NULL },   { 0 },
};

const struct backend *backend_find(const char *name)
{
	for (const struct backend *b = backends; b->name; b++)
		if (strcmp(b->name, name) == 0)
			return b;
	return NULL;
}

bool program_possible(const struct program *p, const struct btf *vmlinux)
{
	char type[64];

	if (p->function && (!vmlinux || btf__find_by_name_kind(vmlinux, p->function, BTF_KIND_FUNC) <= 0))
		return false;
	if (!p->tracepoint)
		return true;
	snprintf(type, sizeof(type), "btf_trace_%s", p->tracepoint);
	return vmlinux && btf__find_by_name_kind(vmlinux, type, BTF_KIND_TYPEDEF) > 0;
}
