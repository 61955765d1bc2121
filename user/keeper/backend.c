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
		.programs = { { "tp_btf_send", "sock_send_length", false },
			      { "tp_btf_recv", "sock_recv_length", false },
			      { "tp_btf_send_begins", "tcp_sendmsg_locked", true } },
	},
	{ .name = "fentry", .plain = "fentry/fexit of the socket functions", .needs = "not built into this version" },
	{ .name = "kprobe", .plain = "kprobes of the socket functions", .needs = "not built into this version" },
	{
		.name = "syscall",
		.plain = "the exit of system calls",
		.needs = "needs BTF and the sys_exit tracepoint (CONFIG_FTRACE_SYSCALLS)",
		.programs = { { "syscall_exit", "sys_exit", false },
			      { "tp_btf_send_begins", "tcp_sendmsg_locked", true } },
	},
	{ 0 },
};

const struct program lifecycle_programs[] = {
	{ "socket_state", "inet_sock_set_state", false },
	{ "socket_destroy", "tcp_destroy_sock", false },
	{ "socket_close", NULL, true },
	{ "process_fork", "sched_process_fork", false },
	{ "process_exec", "sched_process_exec", false },
	{ "process_exit", "sched_process_exit", false },
	{ "sweep", NULL, false },
	{ "sockets", NULL, true },
	{ 0 },
};

const struct program library_programs[] = {
	{ "libpq_entry", NULL, true },
	{ "libpq_return", NULL, true },
	{ 0 },
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

	if (!p->tracepoint)
		return true;
	snprintf(type, sizeof(type), "btf_trace_%s", p->tracepoint);
	return vmlinux && btf__find_by_name_kind(vmlinux, type, BTF_KIND_TYPEDEF) > 0;
}
