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
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
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

static void do_fork(void)
{
	syscall(SYS_fork);
}

static void do_vfork(void)
{
	syscall(SYS_vfork);
}

static void do_clone_process(void)
{
	syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
}

static void do_clone_namespace(void)
{
	syscall(SYS_clone, CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_NEWUSER, 0, 0, 0, 0);
}

static void do_exec(void)
{
	execl("/bin/true", "true", NULL);
}

static void do_exec_at(void)
{
	syscall(SYS_execveat, AT_FDCWD, "/bin/true", NULL, NULL, 0);
}

static void do_kill(void)
{
	kill(getppid(), 0);
}

static void do_kill_own_group(void)
{
	kill(0, 0);
}

static void do_thread_kill_other(void)
{
	syscall(SYS_tgkill, getppid(), getppid(), 0);
}

static void do_ptrace(void)
{
	ptrace(PTRACE_ATTACH, getppid(), 0, 0);
}

static void do_read_memory(void)
{
	struct iovec v = { &errno, 4 };

	process_vm_readv(getppid(), &v, 1, &v, 1, 0);
}

static void do_open_to_write(void)
{
	open("/tmp/sonde-sandbox", O_WRONLY | O_CREAT, 0600);
}

static void do_open_both(void)
{
	open("/dev/null", O_RDWR);
}

static void do_create(void)
{
	open("/tmp/sonde-sandbox", O_RDONLY | O_CREAT, 0600);
}

static void do_truncate(void)
{
	open("/tmp/sonde-sandbox", O_RDONLY | O_TRUNC);
}

static void do_old_open(void)
{
	syscall(SYS_open, "/dev/null", O_WRONLY);
}

static void do_unlink(void)
{
	unlink("/tmp/sonde-sandbox");
}

static void do_rename(void)
{
	rename("/tmp/sonde-sandbox", "/tmp/sonde-sandbox2");
}

static void do_chmod(void)
{
	chmod("/tmp/sonde-sandbox", 0777);
}

static void do_packet_socket(void)
{
	socket(AF_PACKET, SOCK_RAW, 0);
}

static void do_algorithm_socket(void)
{
	socket(AF_ALG, SOCK_SEQPACKET, 0);
}

static void do_bind(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };

	bind(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&a, sizeof(a));
}

static void do_listen(void)
{
	listen(socket(AF_INET, SOCK_STREAM, 0), 1);
}

static void do_accept(void)
{
	accept4(socket(AF_INET, SOCK_STREAM, 0), NULL, NULL, 0);
}

static void do_bpf_load(void)
{
	union bpf_attr a = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER };

	syscall(SYS_bpf, BPF_PROG_LOAD, &a, sizeof(a));
}

static void do_bpf_create(void)
{
	union bpf_attr a = { .map_type = BPF_MAP_TYPE_ARRAY };

	syscall(SYS_bpf, BPF_MAP_CREATE, &a, sizeof(a));
}

static void do_bpf_update(void)
{
	union bpf_attr a = { .map_fd = 0 };

	syscall(SYS_bpf, BPF_MAP_UPDATE_ELEM, &a, sizeof(a));
}

static void do_bpf_by_id(void)
{
	union bpf_attr a = { .map_id = 1 };

	syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &a, sizeof(a));
}

static void do_perf(void)
{
	syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}

static void do_mmap_both(void)
{
	mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_mprotect_both(void)
{
	mprotect(mmap(NULL, 4096, PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096,
		 PROT_READ | PROT_WRITE | PROT_EXEC);
}

static void do_setuid(void)
{
	syscall(SYS_setuid, 0);
}

static void do_unshare(void)
{
	unshare(CLONE_NEWUSER);
}

static void do_mount(void)
{
	mount("none", "/tmp", "tmpfs", 0, NULL);
}

static void do_memfd(void)
{
	memfd_create("x", 0);
}

static void do_dumpable(void)
{
	prctl(PR_SET_DUMPABLE, 1);
}

static void do_set_limit(void)
{
	struct rlimit l = { 0, 0 };

	setrlimit(RLIMIT_CORE, &l);
}

static void do_pidfd(void)
{
	syscall(SYS_pidfd_open, getppid(), 0);
}

static void do_signal_owner(void)
{
	fcntl(0, F_SETOWN, getppid());
}

static void do_terminal_input(void)
{
	syscall(SYS_ioctl, 0, 0x5412 /* TIOCSTI */, "x");
}

#if defined(__x86_64__)
/* The 32-bit entry has other numbers: fork is 2 there, and getpid 20. */
static void do_other_architecture(void)
{
	long r = 20;

	__asm__ volatile("int $0x80" : "+a"(r) : : "memory", "r8", "r9", "r10", "r11");
}
#endif

static void test_forbidden(void **state)
{
	static const struct {
		const char *what;
		void (*f)(void);
	} calls[] = {
#define CALL(f) { #f, f }
		CALL(do_fork),
		CALL(do_vfork),
		CALL(do_clone_process),
		CALL(do_clone_namespace),
		CALL(do_exec),
		CALL(do_exec_at),
		CALL(do_kill),
		CALL(do_kill_own_group),
		CALL(do_thread_kill_other),
		CALL(do_ptrace),
		CALL(do_read_memory),
		CALL(do_open_to_write),
		CALL(do_open_both),
		CALL(do_create),
		CALL(do_truncate),
		CALL(do_old_open),
		CALL(do_unlink),
		CALL(do_rename),
		CALL(do_chmod),
		CALL(do_packet_socket),
		CALL(do_algorithm_socket),
		CALL(do_bind),
		CALL(do_listen),
		CALL(do_accept),
		CALL(do_bpf_load),
		CALL(do_bpf_create),
		CALL(do_bpf_update),
		CALL(do_bpf_by_id),
		CALL(do_perf),
		CALL(do_mmap_both),
		CALL(do_mprotect_both),
		CALL(do_setuid),
		CALL(do_unshare),
		CALL(do_mount),
		CALL(do_memfd),
		CALL(do_dumpable),
		CALL(do_set_limit),
		CALL(do_pidfd),
		CALL(do_signal_owner),
		CALL(do_terminal_input),
#if defined(__x86_64__)
		CALL(do_other_architecture),
#endif
	};

	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		int status = in_sandbox(calls[i].f);

#if defined(__x86_64__)
		/* kernels without that entry have another signal for it */
		if (calls[i].f == do_other_architecture && WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
			continue;
#endif
		if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS)
			fail_msg("%s: %s %d", calls[i].what, WIFSIGNALED(status) ? "signal" : "status",
				 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	}
	assert_int_equal(access("/tmp/sonde-sandbox", F_OK), -1);
}

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
	unlink("/tmp/sonde-sandbox");
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
		cmocka_unit_test(test_forbidden),	cmocka_unit_test(test_threads),
		cmocka_unit_test(test_descriptors),	cmocka_unit_test(test_abort),
		cmocka_unit_test(test_names),		cmocka_unit_test(test_export),
		cmocka_unit_test(test_running_threads), cmocka_unit_test(test_no_capability),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
