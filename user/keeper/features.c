/* SPDX-License-Identifier: Apache-2.0 */
/* What `sonde check` tells: each way to see something is loaded and attached for real, one at a time. */
#include <bpf/btf.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "config/config.h"
#include "keeper/keeper.h"
#include "keeper/loader.h"
#include "keeper/mmap_events.h"
#include "keeper/refusal.h"
#include "util/cleanup.h"

static struct feature *add(struct features *f, const char *group, const char *name, enum feature_state state)
{
	struct feature *v = f->n < sizeof(f->v) / sizeof(f->v[0]) ? &f->v[f->n++] : &f->v[f->n - 1];

	*v = (struct feature){ .group = group, .name = name, .state = state };
	return v;
}

static void __attribute__((format(printf, 3, 4))) say(char *text, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(text, size, format, args);
	va_end(args);
}

static void kernel_line(struct features *f)
{
	struct utsname u;
	char lockdown[32];

	uname(&u);
	lockdown_mode(lockdown, sizeof(lockdown));
	say(f->kernel, sizeof(f->kernel), "%s, BTF %s, lockdown %s, kprobes %s, uprobes %s", u.release,
	    access("/sys/kernel/btf/vmlinux", R_OK) == 0 ? "yes" : "no", lockdown,
	    access("/sys/bus/event_source/devices/kprobe/type", R_OK) == 0 ? "yes" : "no",
	    access("/sys/bus/event_source/devices/uprobe/type", R_OK) == 0 ? "yes" : "no");
	if (refusal_advice(0)) {
		char why[160];

		refusal_reason(0, why, sizeof(why));
		say(f->advice, sizeof(f->advice), "%s: %s", why, refusal_advice(0));
	}
}

static void libraries(struct features *f, struct loader *l)
{
	struct mmap_events *maps = NULL;
	bool probes = loader_has(l, "libpq_entry");
	struct feature *v = add(f, "libraries", "libpq uprobes", probes ? FEATURE_YES : FEATURE_NO);

	if (!probes)
		say(v->why, sizeof(v->why), "this kernel refuses: %s", loader_no_libraries(l));
	if (!probes)
		say(v->lose, sizeof(v->lose), "statements on connections with TLS");
	else if (!loader_uprobe_multi(l))
		say(v->why, sizeof(v->why), "one by one: stopping takes up to 6 s with many processes");
	probes = loader_has(l, "openssl_entry");
	v = add(f, "libraries", "OpenSSL uprobes", probes ? FEATURE_YES : FEATURE_NO);
	if (!probes)
		say(v->lose, sizeof(v->lose), "HTTPS, and statements over TLS that do not go through libpq");
	v = add(f, "libraries", "libraries as they load", FEATURE_YES);
	if (mmap_events_open(&maps) < 0) {
		v->state = FEATURE_NO;
		say(v->why, sizeof(v->why), "perf events are not available");
		say(v->lose, sizeof(v->lose), "TLS statements of processes that start after Sonde");
	}
	mmap_events_close(maps);
}

static void used_details(struct features *f, struct loader *l)
{
	bool early = loader_has(l, "tp_btf_send_begins") || loader_backend(l)->calls,
	     unix_close = loader_has(l, "socket_close"),
	     splice = loader_has(l, "socket_splice") || loader_has(l, "syscall_exit");
	struct feature *v = add(f, "sockets", "start of a send", early ? FEATURE_YES : FEATURE_NO);

	if (!early) {
		say(v->why, sizeof(v->why), "tcp_sendmsg_locked is not in this kernel (6.16+)");
		say(v->lose, sizeof(v->lose), "up to 10 us of a client's request on loopback");
	}
	v = add(f, "sockets", "close of Unix sockets", unix_close ? FEATURE_YES : FEATURE_NO);
	if (!unix_close)
		say(v->lose, sizeof(v->lose), "answers without a length on Unix sockets end some seconds late");
	v = add(f, "sockets", "splice out of sockets", splice ? FEATURE_YES : FEATURE_NO);
	if (!splice)
		say(v->lose, sizeof(v->lose), "where answers end that a proxy moves by splice()");
	libraries(f, l);
	add(f, "processes", "exec/fork/exit", FEATURE_YES);
	v = add(f, "processes", "sockets open before start", loader_has(l, "sockets") ? FEATURE_YES : FEATURE_NO);
	if (v->state == FEATURE_NO)
		say(v->lose, sizeof(v->lose), "who listens where, in the lines at start");
	f->map_bytes = loader_map_bytes(l, &f->map_bytes_at_most);
}

static void try_backend(const struct config *cfg, struct features *f, const struct backend *b, struct loader **used)
{
	struct feature *v = add(f, "sockets", b->name, FEATURE_NO);
	struct loader *l = NULL;
	char why[160] = "";
	int r = *used ? loader_try(cfg, b, &l, why, sizeof(why)) : loader_start(cfg, b, &l, why, sizeof(why));

	if (r == 0) {
		v->state = *used ? FEATURE_YES : FEATURE_USED;
		say(v->why, sizeof(v->why), "%s", b->plain);
		if (*used)
			loader_free(l);
		else
			*used = l;
		return;
	}
	if (why[0])
		say(v->why, sizeof(v->why), "%.159s", why);
	else
		say(v->why, sizeof(v->why), "%s (%s)", strerror(-r), b->needs);
	if (r == -EPERM && !f->advice[0])
		say(f->advice, sizeof(f->advice), "BPF is refused to this process: %s", refusal_advice(r));
}

int features_probe(const struct config *cfg, struct features *ret)
{
	struct loader *used = NULL;
	struct feature *v;

	*ret = (struct features){ 0 };
	kernel_line(ret);
	if (geteuid() != 0 && !ret->advice[0])
		say(ret->advice, sizeof(ret->advice), "not root: run `sudo sonde check`");
	for (const struct backend *b = backends; b->name; b++)
		try_backend(cfg, ret, b, &used);
	ret->usable = used != NULL;
	if (used) {
		used_details(ret, used);
		ret->advice[0] = '\0';
	} else if (!ret->advice[0]) {
		say(ret->advice, sizeof(ret->advice),
		    "no way to see sockets works on this kernel: use 5.15 or newer with BTF");
	}
	v = add(ret, "privileges", geteuid() == 0 ? "root" : "not root", geteuid() == 0 ? FEATURE_YES : FEATURE_NO);
	if (geteuid() == 0)
		say(v->why, sizeof(v->why), "the worker, which reads what services write, runs without any capability");
	loader_free(used);
	return 0;
}
