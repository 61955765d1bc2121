/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop of the privileged process. It owns what the kernel side is, hands a worker its descriptors, answers the
 * worker's questions after checking them, and starts another one when it dies.
 */
#include "keeper/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/messages.h"
#include "config/config.h"
#include "keeper/child.h"
#include "keeper/loader.h"
#include "keeper/mmap_events.h"
#include "keeper/privileges.h"
#include "keeper/processes.h"
#include "keeper/refusal.h"
#include "keeper/target_file.h"
#include "keeper/uprobes.h"
#include "proc.h"
#include "util/cleanup.h"
#include "util/clock.h"
#include "util/code_pages.h"
#include "util/ledger.h"
#include "util/log.h"

#define FLUSH_MS 5000
#define STOP_GRACE_MS 3000
#define RESTART_FAST_NS 2000000000ULL /* a worker that lived shorter than this waits before it is started again */
#define RESTART_WAIT_MS 500
#define SEND_WAIT_MS 5000
#define MESSAGES_PER_TURN 256
#define TICKS_OF_START 2 /* seconds, after which what only the start needed is given back */

struct keeper {
	const struct config *cfg;
	struct loader *loader;
	struct uprobes *uprobes;
	struct mmap_events *maps;
	struct ledger *ledger;
	struct child child;
	int signals, timer;
	unsigned ticks;
	int record, names;
	uint32_t next_service;
	uint64_t started, ready;
	int64_t realtime_offset;
	unsigned restarts;
	int status;
	bool stopping;
	_Alignas(8) char message[MESSAGE_MAX];
};

/* --- to the worker --- */

/* The worker never blocks on us, so it reads. One that does not for long is stuck, and a fresh one takes its place. */
static int tell(struct keeper *k, const void *message, size_t size, int fd)
{
	for (int waited = 0; k->child.channel >= 0; waited += 100) {
		struct pollfd p = { .fd = k->child.channel, .events = POLLOUT };
		int r = channel_send(k->child.channel, message, size, fd);

		if (r != -EAGAIN)
			return r;
		if (waited >= SEND_WAIT_MS) {
			log_warn("the worker has not read its messages for %d s; ending it", SEND_WAIT_MS / 1000);
			kill(k->child.pid, SIGKILL);
			child_hang_up(&k->child);
			break;
		}
		poll(&p, 1, 100);
	}
	return -EPIPE;
}

static void tell_process(void *context, struct message_process *p)
{
	struct keeper *k = context;
	uint32_t service = ++k->next_service;

	if (loader_seed_process(k->loader, p->tgid, service, &p->service) == 0)
		tell(k, p, sizeof(*p), -1);
}

static void tell_socket(void *context, const struct message_socket *s)
{
	tell(context, s, sizeof(*s), -1);
}

static void tell_mapped(void *context, const struct message_mapped *m)
{
	struct keeper *k = context;

	if ((pid_t)m->tgid != getpid() && (pid_t)m->tgid != k->child.pid)
		tell(k, m, sizeof(*m), -1);
}

static void tell_all(struct keeper *k)
{
	struct message_plain scanned = { .kind = MESSAGE_SCANNED };

	processes_scan(tell_process, k);
	loader_sockets(k->loader, tell_socket, k);
	tell(k, &scanned, sizeof(scanned), -1);
}

/* --- from the worker: every field is checked --- */

static void on_open(struct keeper *k, const struct message_open *m)
{
	struct message_opened answer = { .kind = MESSAGE_OPENED, .token = m->token };
	_cleanup_close_ int fd = -1;
	int r = target_open(m->tgid, (enum target_file)m->file, m->start, m->len, &answer, &fd);

	answer.kind = MESSAGE_OPENED;
	answer.token = m->token;
	answer.error = r < 0 ? r : 0;
	tell(k, &answer, sizeof(answer), r < 0 ? -1 : fd);
}

static void on_attach(struct keeper *k, const struct message_attach *m)
{
	struct message_attached answer = { .kind = MESSAGE_ATTACHED, .token = m->token };
	struct message_opened facts;
	_cleanup_close_ int fd = -1;
	int r = m->points_n > MESSAGE_POINTS_MAX ? -EINVAL : 0;

	if (r == 0)
		r = target_open(m->tgid, TARGET_MAPPING, m->start, m->len, &facts, &fd);
	if (r >= 0)
		r = uprobes_attach(k->uprobes, fd, m->points, m->points_n, &answer.handle);
	if (r < 0)
		log_debug("functions of a library of process %u are not probed: %s", m->tgid, strerror(-r));
	answer.error = r < 0 ? r : 0;
	tell(k, &answer, sizeof(answer), -1);
}

static void on_message(struct keeper *k, size_t size)
{
	const struct message_plain *m = (const void *)k->message;
	const struct message_service *service = (const void *)k->message;
	const struct message_detach *detach = (const void *)k->message;
	const struct message_strands *strands = (const void *)k->message;

	if (size < sizeof(m->kind))
		return;
	if (m->kind == MESSAGE_OPEN && size == sizeof(struct message_open))
		on_open(k, (const void *)k->message);
	else if (m->kind == MESSAGE_ATTACH && size == sizeof(struct message_attach))
		on_attach(k, (const void *)k->message);
	else if (m->kind == MESSAGE_DETACH && size == sizeof(*detach))
		uprobes_detach(k->uprobes, detach->handle);
	else if (m->kind == MESSAGE_SERVICE && size == sizeof(*service))
		loader_set_process(k->loader, service->tgid, service->flags & SERVICE_IGNORE);
	else if (m->kind == MESSAGE_STRANDS && size == sizeof(*strands))
		loader_set_strands(k->loader, strands);
	else if (m->kind == MESSAGE_READY && size == sizeof(*m) && !k->ready)
		k->ready = clock_monotonic();
}

static void hear(struct keeper *k)
{
	for (int i = 0; i < MESSAGES_PER_TURN && k->child.channel >= 0; i++) {
		int fd = -1, n = channel_receive(k->child.channel, k->message, sizeof(k->message), &fd);

		if (fd >= 0)
			close(fd); /* a worker has nothing to hand us */
		if (n > 0)
			on_message(k, (size_t)n);
		else if (n == 0)
			child_hang_up(&k->child);
		else if (n != -EMSGSIZE)
			return;
	}
}

/* --- the worker's life --- */

/*
 * What the dead worker had taken from the ring and not passed on is gone: make the equation seen = exported + dropped
 * hold by counting it as such.
 */
static void count_crash(struct keeper *k)
{
	static const enum user_counter ends[] = { USER_queue_full,  USER_export_refused, USER_export_failed,
						  USER_not_sampled, USER_not_selected,	 USER_stream_over_budget,
						  USER_shutdown,    USER_undecodable,	 USER_not_a_statement,
						  USER_worker_crash };
	struct ledger *l = k->ledger;
	bool sends = k->cfg->traces.endpoint != NULL;
	uint64_t in = ledger_get(l, USER_spans_received) + ledger_get(l, USER_spans_streamed);
	uint64_t out = ledger_get(l, sends ? USER_spans_exported : USER_spans_printed);

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		out += ledger_get(l, ends[i]);
	if (in > out)
		ledger_add(l, USER_worker_crash, in - out);
	ledger_add(l, USER_worker_restarts, 1);
}

static int start_worker(struct keeper *k)
{
	struct worker_handles handles = {
		.channel = -1,
		.ring = loader_ring_fd(k->loader),
		.histograms = loader_histograms_fd(k->loader),
		.counters = loader_counters_fd(k->loader),
		.record = k->record,
		.names = k->names,
		.replay = -1,
		.restarts = k->restarts,
		.started = k->started,
		.realtime_offset = k->realtime_offset,
	};
	int r = child_start(&k->child, k->cfg, k->ledger, k->loader, &handles);

	if (r < 0)
		log_error("cannot start the worker: %s", strerror(-r));
	else
		tell_all(k);
	return r;
}

static void on_child_end(struct keeper *k)
{
	uint64_t lived = clock_monotonic() - k->child.began;
	int status;

	if (!child_reap(&k->child, &status))
		return;
	if (k->stopping || (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_CONFIG)) {
		k->status = WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE;
		k->stopping = true;
		return;
	}
	if (WIFSIGNALED(status))
		log_warn("the worker was ended by signal %d (%s); starting it again, histograms go on in the kernel",
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		log_warn("the worker ended with status %d; starting it again", WEXITSTATUS(status));
	count_crash(k);
	k->restarts++;
	loader_next_generation(k->loader);
	if (lived < RESTART_FAST_NS && k->restarts > 1)
		usleep(RESTART_WAIT_MS * 1000);
	if (start_worker(k) < 0) {
		k->status = EXIT_FAILURE;
		k->stopping = true;
	}
}

static void stop_worker(struct keeper *k)
{
	struct message_plain stop = { .kind = MESSAGE_STOP, .value = FLUSH_MS };
	uint64_t deadline = clock_monotonic() + (FLUSH_MS + STOP_GRACE_MS) * 1000000ULL;

	k->stopping = true;
	loader_stop_observing(k->loader);
	tell(k, &stop, sizeof(stop), -1);
	while (k->child.pid > 0 && clock_monotonic() < deadline) {
		struct pollfd p[2] = { { .fd = k->child.channel, .events = POLLIN },
				       { .fd = k->signals, .events = POLLIN } };
		struct signalfd_siginfo si;

		poll(p, 2, 100);
		if (p[1].revents & POLLIN && read(k->signals, &si, sizeof(si)) == sizeof(si) && si.ssi_signo != SIGCHLD)
			break; /* asked twice: do not wait */
		if (k->child.channel >= 0)
			hear(k);
		on_child_end(k);
	}
	if (k->child.pid > 0) {
		log_warn("the worker did not end in time; what it had queued is lost");
		child_kill(&k->child);
		count_crash(k);
		k->status = EXIT_FAILURE;
	}
}

/* --- start and loop --- */

static void on_timer(struct keeper *k)
{
	uint64_t ticks;

	if (read(k->timer, &ticks, sizeof(ticks)) != sizeof(ticks))
		return;
	loader_sweep(k->loader);
	uprobes_tick(k->uprobes);
	if (++k->ticks == TICKS_OF_START) {
		malloc_trim(0);
		code_pages_give_back();
	}
	if (k->cfg->duration_s && k->ready && clock_monotonic() - k->ready >= k->cfg->duration_s * 1000000000ULL)
		k->stopping = true;
}

static void on_signal(struct keeper *k)
{
	struct signalfd_siginfo si;

	while (read(k->signals, &si, sizeof(si)) == sizeof(si)) {
		if (si.ssi_signo == SIGCHLD)
			on_child_end(k);
		else
			k->stopping = true;
	}
}

static void loop(struct keeper *k)
{
	while (!k->stopping) {
		struct pollfd p[4] = { { .fd = k->child.channel, .events = POLLIN },
				       { .fd = k->signals, .events = POLLIN },
				       { .fd = k->timer, .events = POLLIN },
				       { .fd = k->maps ? mmap_events_fd(k->maps) : -1, .events = POLLIN } };

		if (poll(p, 4, -1) < 0 && errno != EINTR)
			break;
		if (p[3].revents & POLLIN)
			mmap_events_read(k->maps, tell_mapped, k);
		if (p[0].revents)
			hear(k);
		if (p[2].revents & POLLIN)
			on_timer(k);
		if (p[1].revents & POLLIN)
			on_signal(k);
	}
	if (k->child.pid > 0)
		stop_worker(k);
}

static int open_signals(void)
{
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &set, NULL))
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* One second, off the beat of whoever else wakes on full seconds. */
static int open_timer(void)
{
	struct itimerspec every = { .it_interval = { 1, 0 }, .it_value = { 1, 0 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (timerfd_settime(fd, 0, &every, NULL)) {
		close(fd);
		return -errno;
	}
	return fd;
}

static void say_kernel(const struct keeper *k)
{
	FILE *to = k->cfg->format == FORMAT_JSON ? stderr : stdout;
	struct utsname u;

	uname(&u);
	fprintf(to, "kernel    %s: sockets via %s%s   (sonde check: more)\n", u.release,
		loader_backend(k->loader)->plain,
		!loader_has(k->loader, "libpq_entry") ? ""
		: loader_uprobe_multi(k->loader)      ? ", libraries via uprobe_multi"
						      : ", libraries via uprobes");
	fflush(to);
	if (loader_no_libraries(k->loader)[0])
		log_warn("HTTPS and statements over TLS will not be seen, for this kernel refuses to probe "
			 "libraries: %s",
			 loader_no_libraries(k->loader));
}

/* 0, or the exit status. */
static int open_kernel_side(struct keeper *k)
{
	const struct backend *b = NULL;
	char why[256] = "";
	int r;

	if (k->cfg->backend) {
		b = backend_find(k->cfg->backend);
		if (!b) {
			log_error("--backend %s: there is no such backend; use tp_btf, fentry, kprobe or syscall",
				  k->cfg->backend);
			return EXIT_CONFIG;
		}
	}
	r = loader_start(k->cfg, b, &k->loader, why, sizeof(why));
	if (r < 0) {
		log_error("cannot observe sockets%s%s: %s", b ? " by backend " : "", b ? b->name : "",
			  why[0] ? why : strerror(-r));
		if (refusal_advice(r))
			log_error("%s", refusal_advice(r));
		else
			log_error("`sonde check` tells what this kernel allows%s",
				  b ? "; without --backend the best is taken" : "");
		return EXIT_KERNEL;
	}
	say_kernel(k);
	k->uprobes = uprobes_new(k->loader);
	if (!k->uprobes)
		return EXIT_FAILURE;
	r = mmap_events_open(&k->maps);
	if (r < 0)
		log_warn("libraries that are loaded from now on will not be seen: perf events are not available (%s)",
			 strerror(-r));
	r = privileges_drop_keeper(loader_has(k->loader, "libpq_entry") && !loader_uprobe_multi(k->loader));
	if (r < 0) {
		log_error("cannot give up privileges that are not needed: %s", strerror(-r));
		return EXIT_KERNEL;
	}
	return 0;
}

static int open_record(const char *path)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	struct stat st;

	/* It will hold what services say to each other: nobody else's file, and none that others can read. */
	if (fd < 0 || fstat(fd, &st) < 0) {
		log_error("--record %s: %s", path, strerror(errno));
		return -1;
	}
	if (S_ISREG(st.st_mode) && (st.st_uid != geteuid() || fchmod(fd, 0600) < 0 || ftruncate(fd, 0) < 0)) {
		log_error("--record %s: %s", path,
			  st.st_uid != geteuid() ? "the file is somebody else's" : strerror(errno));
		return -1;
	}
	return take_fd(&fd);
}

int keeper_run(const struct config *cfg)
{
	struct keeper k = { .cfg = cfg, .signals = -1, .timer = -1, .record = -1, .names = -1, .child = CHILD_NONE };

	k.started = clock_monotonic();
	k.realtime_offset = clock_offset();
	k.ledger = ledger_new();
	k.names = memfd_create("sonde-names", MFD_CLOEXEC);
	k.signals = open_signals();
	k.timer = open_timer();
	if (!k.ledger || k.signals < 0 || k.timer < 0) {
		log_error("cannot start: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (cfg->record && (k.record = open_record(cfg->record)) < 0)
		k.status = EXIT_CONFIG;
	if (!k.status)
		k.status = open_kernel_side(&k);
	if (!k.status && start_worker(&k) < 0)
		k.status = EXIT_FAILURE;
	if (!k.status)
		loop(&k);
	uprobes_free(k.uprobes);
	mmap_events_close(k.maps);
	loader_free(k.loader);
	if (k.record >= 0)
		close(k.record);
	if (k.names >= 0)
		close(k.names);
	close(k.timer);
	close(k.signals);
	return k.status;
}

int keeper_replay(const struct config *cfg, const char *path)
{
	struct worker_handles handles = {
		.channel = -1, .ring = -1, .histograms = -1, .counters = -1, .record = -1, .names = -1
	};
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct ledger *ledger = ledger_new();
	struct stat st;

	if (fd < 0 || fstat(fd, &st)) {
		log_error("%s: %s", path, strerror(errno));
		return EXIT_CONFIG;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("%s: not a regular file; expected a recording made by `sonde run --record FILE`", path);
		return EXIT_CONFIG;
	}
	if (!ledger) {
		log_error("cannot start: %s", strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	handles.replay = fd;
	handles.started = clock_monotonic();
	handles.realtime_offset = clock_offset();
	return keeper_worker(cfg, ledger, &handles);
}
