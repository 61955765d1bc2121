/* SPDX-License-Identifier: Apache-2.0 */
/* Each test goes into the sandbox in a child of its own; the kernel says by the child's end what was forbidden. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <curl/curl.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/cleanup.h"
#include "worker/sandbox.h"

#define CHECK(fact)                                                                              \
	do {                                                                                     \
		if (!(fact)) {                                                                   \
			fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #fact, strerror(errno)); \
			_exit(1);                                                                \
		}                                                                                \
	} while (0)

/* The wait status of a child that ran f in the sandbox. */
static int in_sandbox(void (*f)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		CHECK(setrlimit(RLIMIT_CORE, &(struct rlimit){ 0, 0 }) == 0);
		CHECK(sandbox_enter(false) == 0);
		f();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void allows(void (*f)(void))
{
	int status = in_sandbox(f);

	if (WIFSIGNALED(status))
		fail_msg("ended by signal %d", WTERMSIG(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* --- what ends the process --- */

#define AT(path) AT_FDCWD, (long)(path)
#define VICTIM "/tmp/sonde-sandbox"

/* clang-format off */
static const struct call {
	const char *what;
	long number, arguments[5];
} forbidden[] = {
	{ "clone of a process", SYS_clone, { SIGCHLD } },
	{ "clone into a namespace", SYS_clone, { CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWUSER } },
	{ "execve", SYS_execve, { (long)"/bin/true" } },
	{ "execveat", SYS_execveat, { AT("/bin/true") } },
	{ "signal to init", SYS_kill, { 1 } },
	{ "signal to its group", SYS_kill, { 0 } },
	{ "signal to a thread of init", SYS_tgkill, { 1, 1 } },
	{ "ptrace", SYS_ptrace, { PTRACE_ATTACH, 1 } },
	{ "reading memory of init", SYS_process_vm_readv, { 1 } },
	{ "writing memory of init", SYS_process_vm_writev, { 1 } },
	{ "pidfd", SYS_pidfd_open, { 1 } },
	{ "open for writing", SYS_openat, { AT("/dev/null"), O_WRONLY } },
	{ "open for both", SYS_openat, { AT("/dev/null"), O_RDWR } },
	{ "create", SYS_openat, { AT(VICTIM), O_RDONLY | O_CREAT, 0600 } },
	{ "truncate by open", SYS_openat, { AT(VICTIM), O_RDONLY | O_TRUNC } },
	{ "unlink", SYS_unlinkat, { AT(VICTIM) } },
	{ "rename", SYS_renameat2, { AT(VICTIM), AT(VICTIM "2") } },
	{ "mkdir", SYS_mkdirat, { AT(VICTIM), 0700 } },
	{ "chmod", SYS_fchmodat, { AT(VICTIM), 0777 } },
	{ "packet socket", SYS_socket, { AF_PACKET, SOCK_RAW } },
	{ "algorithm socket", SYS_socket, { AF_ALG, SOCK_SEQPACKET } },
	{ "vsock", SYS_socket, { AF_VSOCK, SOCK_STREAM } },
	{ "bind", SYS_bind, { 0 } },
	{ "listen", SYS_listen, { 0, 1 } },
	{ "accept", SYS_accept4, { 0 } },
	{ "BPF program load", SYS_bpf, { BPF_PROG_LOAD } },
	{ "BPF map create", SYS_bpf, { BPF_MAP_CREATE } },
	{ "BPF map update", SYS_bpf, { BPF_MAP_UPDATE_ELEM } },
	{ "BPF map by id", SYS_bpf, { BPF_MAP_GET_FD_BY_ID } },
	{ "BPF link create", SYS_bpf, { BPF_LINK_CREATE } },
	{ "perf event", SYS_perf_event_open, { 0 } },
	{ "writable code", SYS_mmap, { 0, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1 } },
	{ "code made writable", SYS_mprotect, { 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC } },
	{ "setuid", SYS_setuid, { 0 } },
	{ "capset", SYS_capset, { 0 } },
	{ "unshare", SYS_unshare, { CLONE_NEWUSER } },
	{ "setns", SYS_setns, { 0 } },
	{ "mount", SYS_mount, { (long)"none", (long)"/tmp", (long)"tmpfs" } },
	{ "chroot", SYS_chroot, { (long)"/tmp" } },
	{ "memfd", SYS_memfd_create, { (long)"x" } },
	{ "made traceable", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
	{ "limit set", SYS_prlimit64, { 0, RLIMIT_CORE, (long)"0123456789abcdef" } },
	{ "limit of init", SYS_prlimit64, { 1, RLIMIT_CORE } },
	{ "signals to init by descriptor", SYS_fcntl, { 0, F_SETOWN, 1 } },
	{ "typing on the terminal", SYS_ioctl, { 0, 0x5412 /* TIOCSTI */, (long)"x" } },
	{ "keyring", SYS_add_key, { 0 } },
	{ "module", SYS_finit_module, { 0 } },
#if defined(__x86_64__)
	{ "fork", SYS_fork, { 0 } },
	{ "vfork", SYS_vfork, { 0 } },
	{ "old open for writing", SYS_open, { (long)"/dev/null", O_WRONLY } },
	{ "number of the x32 ABI", SYS_getpid | 0x40000000, { 0 } },
#endif
};
/* clang-format on */

static const struct call *call; /* for the child */

static void do_call(void)
{
	const long *a = call->arguments;

	syscall(call->number, a[0], a[1], a[2], a[3], a[4], 0);
}

static void test_forbidden(void **state)
{
	(void)state;
	for (call = forbidden; call < forbidden + sizeof(forbidden) / sizeof(forbidden[0]); call++) {
		int status = in_sandbox(do_call);

		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: %s %d", call->what, WIFSIGNALED(status) ? "signal" : "status",
				 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	assert_int_equal(access(VICTIM, F_OK), -1);
}

#if defined(__x86_64__)
/* The 32-bit entry has other numbers: 20 is getpid there, and writev here. */
static void call_32_bit_entry(void)
{
	long r = 20;

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
}

static void test_other_architecture(void **state)
{
	int status = in_sandbox(call_32_bit_entry);

	(void)state;
	assert_true(WIFSIGNALED(status));
	/* kernels without that entry have another signal for it */
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
}
#endif

/* --- what must work --- */

static void *fill(void *p)
{
	memset(p, 7, 4096);
	errno = 0;
	return p;
}

static void use_threads(void)
{
	pthread_t t[8];
	char *p[8];
	void *r;

	for (int i = 0; i < 8; i++) {
		p[i] = malloc(4096);
		CHECK(pthread_create(&t[i], NULL, fill, p[i]) == 0);
	}
	for (int i = 0; i < 8; i++) {
		CHECK(pthread_join(t[i], &r) == 0 && r == p[i] && p[i][4095] == 7);
		free(p[i]);
	}
}

static void test_threads(void **state)
{
	(void)state;
	allows(use_threads);
}

static void use_descriptors(void)
{
	char text[64];
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC), pair[2];
	struct rlimit l;
	FILE *f;

	CHECK(fd >= 0 && read(fd, text, sizeof(text)) > 0);
	f = fdopen(fd, "r");
	CHECK(f && fgets(text, sizeof(text), f) && fclose(f) == 0);
	CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	CHECK(write(pair[0], "x", 1) == 1 && poll(&(struct pollfd){ pair[1], POLLIN, 0 }, 1, 1000) == 1);
	CHECK(getrlimit(RLIMIT_NOFILE, &l) == 0);
	CHECK(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == EAFNOSUPPORT);
	CHECK(prctl(PR_SET_NAME, "caged") == 0);
	CHECK(isatty(0) >= 0 && usleep(10) == 0 && sysconf(_SC_NPROCESSORS_ONLN) > 0);
}

static void test_descriptors(void **state)
{
	(void)state;
	allows(use_descriptors);
}

/* abort() must look like abort(). */
static void do_abort(void)
{
	signal(SIGABRT, SIG_DFL);
	abort();
}

static void test_abort(void **state)
{
	int status = in_sandbox(do_abort);

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void resolve(void)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *found = NULL;

	setenv("RES_OPTIONS", "timeout:1 attempts:1", 1);
	CHECK(getaddrinfo("localhost", "80", &hints, &found) == 0 && found);
	freeaddrinfo(found);
	/* a name that has to be asked for; the answer does not matter, coming back does */
	if (getaddrinfo("does-not-exist.invalid", "80", &hints, &found) == 0)
		freeaddrinfo(found);
}

static void test_names(void **state)
{
	(void)state;
	allows(resolve);
}

static int port; /* of the server below */

static pid_t start_server(void)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	assert_int_equal(bind(s, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(s, 8), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&a, &n), 0);
	port = ntohs(a.sin_port);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			int c = accept(s, NULL, NULL);
			char in[4096];

			if (read(c, in, sizeof(in)) > 0)
				CHECK(write(c, answer, sizeof(answer) - 1) > 0);
			close(c);
		}
	}
	close(s);
	return pid;
}

static size_t keep(char *p, size_t size, size_t n, void *to)
{
	if (n * size == 2)
		memcpy(to, p, 2);
	return n * size;
}

/* As the exporter does it: the library is opened after the door was closed. */
static void *request(void *unused)
{
	void *lib = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	CURL *(*init)(void);
	CURLcode (*set)(CURL *, CURLoption, ...);
	CURLcode (*perform)(CURL *);
	void (*end)(CURL *);
	char url[64], body[3] = "";
	CURL *c;

	(void)unused;
	CHECK(lib);
	*(void **)&init = dlsym(lib, "curl_easy_init");
	*(void **)&set = dlsym(lib, "curl_easy_setopt");
	*(void **)&perform = dlsym(lib, "curl_easy_perform");
	*(void **)&end = dlsym(lib, "curl_easy_cleanup");
	c = init();
	snprintf(url, sizeof(url), "http://localhost:%d/", port);
	set(c, CURLOPT_URL, url);
	set(c, CURLOPT_NOSIGNAL, 1L);
	set(c, CURLOPT_NOPROXY, "*");
	set(c, CURLOPT_TIMEOUT_MS, 5000L);
	set(c, CURLOPT_POSTFIELDS, "hello");
	set(c, CURLOPT_WRITEFUNCTION, keep);
	set(c, CURLOPT_WRITEDATA, body);
	CHECK(perform(c) == CURLE_OK);
	CHECK(strcmp(body, "ok") == 0);
	end(c);
	return NULL;
}

static void request_in_thread(void)
{
	pthread_t t;

	CHECK(pthread_create(&t, NULL, request, NULL) == 0 && pthread_join(t, NULL) == 0);
}

static void test_export(void **state)
{
	void *lib = dlopen("libcurl.so.4", RTLD_NOW);
	pid_t server;

	(void)state;
	if (!lib) {
		print_message("no libcurl here: %s\n", dlerror());
		skip();
	}
	dlclose(lib);
	server = start_server();
	allows(request_in_thread);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
}

/* Threads that ran before are in it too. */
static pthread_barrier_t barrier;

static void *late_offender(void *unused)
{
	(void)unused;
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	unlink(VICTIM);
	return NULL;
}

static void test_running_threads(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pthread_t t;

		pthread_barrier_init(&barrier, NULL, 2);
		CHECK(pthread_create(&t, NULL, late_offender, NULL) == 0);
		pthread_barrier_wait(&barrier);
		CHECK(sandbox_enter(false) == 0);
		pthread_barrier_wait(&barrier);
		pthread_join(t, NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void check_capabilities(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	int seen = 0;

	CHECK(f);
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "CapEff:", 7) == 0 || strncmp(line, "CapPrm:", 7) == 0)
			CHECK(++seen && strtoull(line + 7, NULL, 16) == 0);
		if (strncmp(line, "NoNewPrivs:", 11) == 0)
			CHECK(++seen && atoi(line + 11) == 1);
	}
	CHECK(seen == 3);
}

static void test_no_capability(void **state)
{
	(void)state;
	allows(check_capabilities);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#if defined(__x86_64__)
		cmocka_unit_test(test_other_architecture),
#endif
		cmocka_unit_test(test_forbidden),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_abort),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_export),
		cmocka_unit_test(test_running_threads),
		cmocka_unit_test(test_no_capability),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
