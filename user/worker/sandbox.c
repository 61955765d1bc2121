/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "worker/sandbox.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/sched.h>
#include <net/if.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/cleanup.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41 /* linux/prctl.h: glibc names its memory with it */
#endif

/* Whatever their arguments. System calls that an architecture does not have are skipped by libseccomp. */
static const int allowed[] = {
	/* descriptors that it has */
	SCMP_SYS(read),
	SCMP_SYS(readv),
	SCMP_SYS(pread64),
	SCMP_SYS(preadv),
	SCMP_SYS(preadv2),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(pwrite64),
	SCMP_SYS(pwritev),
	SCMP_SYS(pwritev2),
	SCMP_SYS(lseek),
	SCMP_SYS(_llseek),
	SCMP_SYS(close),
	SCMP_SYS(close_range),
	SCMP_SYS(dup),
	SCMP_SYS(dup2),
	SCMP_SYS(dup3),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fadvise64),
	SCMP_SYS(fstat),
	SCMP_SYS(fstatfs),
	SCMP_SYS(getdents64),
	/* looking at files */
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(access),
	SCMP_SYS(faccessat),
	SCMP_SYS(faccessat2),
	SCMP_SYS(readlink),
	SCMP_SYS(readlinkat),
	SCMP_SYS(getcwd),
	/* waiting */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(select),
	SCMP_SYS(pselect6),
	SCMP_SYS(epoll_create),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(eventfd),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe),
	SCMP_SYS(pipe2),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_gettime),
	SCMP_SYS(nanosleep),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(times),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(alarm),
	SCMP_SYS(setitimer),
	SCMP_SYS(getitimer),
	/* memory */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mincore),
	SCMP_SYS(membarrier),
	/* threads and signals of its own */
	SCMP_SYS(futex),
	SCMP_SYS(futex_waitv),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(get_robust_list),
	SCMP_SYS(rseq),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(sched_getparam),
	SCMP_SYS(sched_getscheduler),
	SCMP_SYS(sched_get_priority_max),
	SCMP_SYS(sched_get_priority_min),
	SCMP_SYS(getcpu),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigpending),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
	/* sockets; which, is below. No bind, no listen, no accept. */
	SCMP_SYS(connect),
	SCMP_SYS(sendto),
	SCMP_SYS(sendmsg),
	SCMP_SYS(sendmmsg),
	SCMP_SYS(recvfrom),
	SCMP_SYS(recvmsg),
	SCMP_SYS(recvmmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	/* facts */
	SCMP_SYS(getrandom),
	SCMP_SYS(uname),
	SCMP_SYS(sysinfo),
	SCMP_SYS(getrusage),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(getresuid),
	SCMP_SYS(getresgid),
	SCMP_SYS(getgroups),
	SCMP_SYS(getpgrp),
	SCMP_SYS(getpgid),
	SCMP_SYS(getsid),
	SCMP_SYS(capget),
};

/* Libraries try these and go on without them. */
static const struct {
	int call, error;
} refused[] = {
	{ SCMP_SYS(clone3), ENOSYS }, /* its flags cannot be seen by a filter; clone's can, and glibc falls back to it
				       */
	{ SCMP_SYS(openat2), ENOSYS },		{ SCMP_SYS(io_uring_setup), ENOSYS },
	{ SCMP_SYS(get_mempolicy), ENOSYS },	{ SCMP_SYS(mlock), EPERM },
	{ SCMP_SYS(sched_setaffinity), EPERM }, { SCMP_SYS(sched_setscheduler), EPERM },
	{ SCMP_SYS(setpriority), EPERM },
};

/* Allowed when (argument & mask) == value. mask of all ones: when it is exactly that. */
struct rule {
	int call;
	unsigned int argument;
	uint64_t mask, value;
};

#define EXACT 0xffffffffULL /* the kernel reads these as 32-bit numbers; what is above does not count */
#define WRITING (O_ACCMODE | O_CREAT | O_TRUNC)
#define NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define THREAD (CLONE_VM | CLONE_THREAD | CLONE_SIGHAND)

static const struct rule rules[] = {
	{ SCMP_SYS(open), 1, WRITING, O_RDONLY },
	{ SCMP_SYS(openat), 2, WRITING, O_RDONLY },
	{ SCMP_SYS(clone), 0, THREAD | NAMESPACES, THREAD },
	{ SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, PROT_NONE },
	{ SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, PROT_WRITE },
	{ SCMP_SYS(mmap), 2, PROT_WRITE | PROT_EXEC, PROT_EXEC },
	{ SCMP_SYS(mprotect), 2, PROT_WRITE | PROT_EXEC, PROT_NONE },
	{ SCMP_SYS(mprotect), 2, PROT_WRITE | PROT_EXEC, PROT_WRITE },
	{ SCMP_SYS(mprotect), 2, PROT_WRITE | PROT_EXEC, PROT_EXEC },
	{ SCMP_SYS(socket), 0, EXACT, AF_INET },
	{ SCMP_SYS(socket), 0, EXACT, AF_INET6 },
	{ SCMP_SYS(socket), 0, EXACT, AF_UNIX },
	{ SCMP_SYS(socketpair), 0, EXACT, AF_UNIX },
	{ SCMP_SYS(bpf), 0, EXACT, BPF_MAP_LOOKUP_ELEM },
	{ SCMP_SYS(bpf), 0, EXACT, BPF_MAP_DELETE_ELEM },
	{ SCMP_SYS(bpf), 0, EXACT, BPF_MAP_GET_NEXT_KEY },
	{ SCMP_SYS(bpf), 0, EXACT, BPF_MAP_LOOKUP_BATCH },
	{ SCMP_SYS(bpf), 0, EXACT, BPF_OBJ_GET_INFO_BY_FD },
	{ SCMP_SYS(fcntl), 1, EXACT, F_GETFD },
	{ SCMP_SYS(fcntl), 1, EXACT, F_SETFD },
	{ SCMP_SYS(fcntl), 1, EXACT, F_GETFL },
	{ SCMP_SYS(fcntl), 1, EXACT, F_SETFL },
	{ SCMP_SYS(fcntl), 1, EXACT, F_DUPFD },
	{ SCMP_SYS(fcntl), 1, EXACT, F_DUPFD_CLOEXEC },
	{ SCMP_SYS(ioctl), 1, EXACT, TCGETS },
	{ SCMP_SYS(ioctl), 1, EXACT, TIOCGWINSZ },
	{ SCMP_SYS(ioctl), 1, EXACT, FIONREAD },
	{ SCMP_SYS(ioctl), 1, EXACT, FIONBIO },
	{ SCMP_SYS(ioctl), 1, EXACT, SIOCGIFINDEX }, /* fe80::1%eth0 */
	{ SCMP_SYS(prctl), 0, EXACT, PR_SET_NAME },
	{ SCMP_SYS(prctl), 0, EXACT, PR_GET_NAME },
	{ SCMP_SYS(prctl), 0, EXACT, PR_SET_VMA },
	{ SCMP_SYS(prctl), 0, EXACT, PR_GET_DUMPABLE },
};

static int drop_capabilities(bool keeps_bpf)
{
	bool bpf;

	if (capng_get_caps_process() < 0)
		return -EIO;
	bpf = keeps_bpf && capng_have_capability(CAPNG_PERMITTED, CAP_BPF);
	capng_clear(CAPNG_SELECT_CAPS);
	if (bpf)
		capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_BPF);
	return capng_apply(CAPNG_SELECT_CAPS) < 0 ? -EPERM : 0;
}

static void release(scmp_filter_ctx *filter)
{
	if (*filter)
		seccomp_release(*filter);
}

static int add_rules(scmp_filter_ctx filter)
{
	const uint64_t pid = (uint64_t)getpid();
	int r = 0;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(refused[i].error), refused[i].call, 0);
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, rules[i].call, 1,
				     SCMP_CMP64(rules[i].argument, SCMP_CMP_MASKED_EQ, rules[i].mask, rules[i].value));
	/* getaddrinfo asks for the host's addresses, and goes on without them */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
				     SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, EXACT, AF_NETLINK));
	/* abort() */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				     SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, EXACT, pid));
	/* reading one's own limits */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2, SCMP_CMP64(0, SCMP_CMP_EQ, 0, 0),
				     SCMP_CMP64(2, SCMP_CMP_EQ, 0, 0));
	return r;
}

int sandbox_enter(bool keeps_bpf)
{
	_cleanup_(release) scmp_filter_ctx filter = NULL;
	int r = drop_capabilities(keeps_bpf);

	if (r < 0)
		return r;
	filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (!filter)
		return -ENOMEM;
	r = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = add_rules(filter);
	if (r == 0)
		r = seccomp_load(filter); /* sets no_new_privs too */
	return r;
}
