/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "channel/messages.h"
#include "keeper/keeper.h"
#include "keeper/loader.h"
#include "keeper/privileges.h"
#include "util/clock.h"
#include "util/log.h"

/* Never returns. What it inherits and is not handed is closed; what it may do is nothing but what it is for. */
static void run_worker(const struct config *cfg, struct ledger *ledger, const struct worker_handles *h)
{
	const int keep[] = { 0, 1, 2, h->channel, h->ring, h->histograms, h->counters, h->record, h->names };
	sigset_t none;
	int r;

	prctl(PR_SET_NAME, "sonde-worker");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Ctrl-C reaches the whole group: the keeper tells the worker when to stop. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	r = privileges_drop_worker(keep, sizeof(keep) / sizeof(keep[0]), h->keeps_bpf);
	if (r < 0) {
		log_error("the worker cannot give up its privileges: %s", strerror(-r));
		_exit(EXIT_KERNEL);
	}
	_exit(keeper_worker(cfg, ledger, h));
}

/* What the loader keeps is the keeper's; the maps that the worker is handed are kept open. */
static void forget_loader(struct loader *loader, struct worker_handles *h)
{
	int *of_maps[] = { &h->ring, &h->histograms, &h->counters };

	for (size_t i = 0; i < sizeof(of_maps) / sizeof(of_maps[0]); i++)
		*of_maps[i] = fcntl(*of_maps[i], F_DUPFD_CLOEXEC, 3);
	loader_forget(loader);
}

int child_start(struct child *c, const struct config *cfg, struct ledger *ledger, struct loader *loader,
		const struct worker_handles *handles)
{
	struct worker_handles h = *handles;
	int socks[2], r = channel_pair(socks);
	pid_t pid;

	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0) {
		r = -errno;
		close(socks[0]);
		close(socks[1]);
		return r;
	}
	if (pid == 0) {
		close(socks[0]);
		h.channel = socks[1];
		forget_loader(loader, &h);
		run_worker(cfg, ledger, &h);
	}
	close(socks[1]);
	fcntl(socks[0], F_SETFL, fcntl(socks[0], F_GETFL) | O_NONBLOCK);
	c->pid = pid;
	c->channel = socks[0];
	c->began = clock_monotonic();
	return 0;
}

void child_hang_up(struct child *c)
{
	if (c->channel >= 0)
		close(c->channel);
	c->channel = -1;
}

bool child_reap(struct child *c, int *ret_status)
{
	int status;

	if (c->pid <= 0 || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return false;
	c->pid = 0;
	child_hang_up(c);
	*ret_status = status;
	return true;
}

void child_kill(struct child *c)
{
	int status;

	if (c->pid <= 0)
		return;
	kill(c->pid, SIGKILL);
	waitpid(c->pid, &status, 0);
	c->pid = 0;
	child_hang_up(c);
}
