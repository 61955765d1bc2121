/* SPDX-License-Identifier: Apache-2.0 */
/* The policy of probing libraries, with real ones where there are, and the test in the place of the keeper. */
#ifndef SONDE_TESTS_LIBRARIES_FIXTURE_H
#define SONDE_TESTS_LIBRARIES_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "../tools/recording.h"
#include "config/config.h"
#include "util/clock.h"
#include "worker/libraries.h"
#include "worker/library_kinds.h"

#define S 1000000000ULL
#define INO 4711

struct fixture {
	struct config *config;
	struct ledger *ledger;
	struct outbox *out;
	int keeper, worker;
	struct processes *p;
	struct libraries *l;
	uint64_t now;
	char libpq[512];  /* path of a real one, empty = none */
	char libssl[512]; /* the same */
	/* what the keeper was told since the last hear() */
	unsigned opens, attaches, detaches;
	struct message_open open;
	struct message_attach attach;
	struct message_detach detach;
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct processes_config cfg = { .asks = true };
	int socks[2];
	glob_t g;

	assert_int_equal(channel_pair(socks), 0);
	fcntl(socks[0], F_SETFL, O_NONBLOCK);
	f->keeper = socks[0];
	f->worker = socks[1];
	f->config = config_new();
	cfg.config = f->config;
	f->ledger = ledger_new();
	f->out = outbox_new(socks[1]);
	f->p = processes_new(&cfg, f->out);
	f->l = libraries_new(f->p, f->out, f->ledger);
	assert_true(f->config && f->ledger && f->p && f->l);
	f->now = 1000 * S;
	if (glob("/usr/lib/*/libpq.so.5", 0, NULL, &g) == 0)
		snprintf(f->libpq, sizeof(f->libpq), "%s", g.gl_pathv[0]);
	globfree(&g);
	if (glob("/usr/lib/*/libssl.so.3", 0, NULL, &g) == 0)
		snprintf(f->libssl, sizeof(f->libssl), "%s", g.gl_pathv[0]);
	globfree(&g);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	libraries_free(f->l);
	processes_free(f->p);
	outbox_free(f->out);
	config_free(f->config);
	munmap(f->ledger, sizeof(*f->ledger));
	close(f->keeper);
	close(f->worker);
	free(f);
	return 0;
}

static inline void hear(struct fixture *f)
{
	_Alignas(8) char m[MESSAGE_MAX];
	int fd, n;

	f->opens = f->attaches = f->detaches = 0;
	while ((n = channel_receive(f->keeper, m, sizeof(m), &fd)) > 0) {
		uint32_t kind;

		memcpy(&kind, m, sizeof(kind));
		if (kind == MESSAGE_OPEN && ((struct message_open *)m)->token & LIBRARIES_TOKEN) {
			memcpy(&f->open, m, sizeof(f->open));
			f->opens++;
		} else if (kind == MESSAGE_ATTACH) {
			memcpy(&f->attach, m, sizeof(f->attach));
			f->attaches++;
		} else if (kind == MESSAGE_DETACH) {
			memcpy(&f->detach, m, sizeof(f->detach));
			f->detaches++;
		}
	}
}

static inline void process(struct fixture *f, uint32_t tgid, uint32_t parent, uint32_t what)
{
	struct event_process e = { .what = what, .parent = parent, .service = 7, .start = tgid };

	e.header.tgid = tgid;
	processes_event(f->p, &e, f->now);
}

static inline void map(struct fixture *f, uint32_t tgid, const char *path, uint64_t ino)
{
	struct message_mapped m = { .kind = MESSAGE_MAPPED,
				    .tgid = tgid,
				    .dev_major = 8,
				    .ino = ino,
				    .ino_generation = 1,
				    .start = 0x7f0000000000 + tgid * 0x1000,
				    .len = 0x1000 };

	snprintf(m.path, sizeof(m.path), "%s", path);
	libraries_mapped(f->l, &m);
	hear(f);
}

/* Answers the last question with this file. */
static inline void opened(struct fixture *f, const char *path)
{
	struct message_opened m = { .kind = MESSAGE_OPENED, .token = f->open.token };
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	m.error = fd < 0 ? -ENOENT : 0;
	libraries_opened(f->l, &m, fd);
	if (fd >= 0)
		close(fd);
	hear(f);
}

static inline void attached(struct fixture *f, int error)
{
	struct message_attached m = {
		.kind = MESSAGE_ATTACHED, .token = f->attach.token, .error = error, .handle = 99
	};

	libraries_attached(f->l, &m);
	hear(f);
}

static inline void tick(struct fixture *f, uint64_t ns)
{
	f->now += ns;
	libraries_tick(f->l, f->now);
	hear(f);
}

static inline void statement(struct fixture *f, uint32_t tgid, uint8_t source)
{
	union rec r;

	rec_exchange(&r, (struct rec_times){ 0, 0, 0 }, 5, 6, 0, PROTO_POSTGRES, ROLE_CLIENT, PG_QUERY, 0);
	r.exchange.source = source;
	r.header.tgid = tgid;
	r.header.time = f->now;
	libraries_event(f->l, &r.header);
	hear(f);
}

static inline void tls(struct fixture *f, uint32_t tgid, uint8_t inner, uint16_t port)
{
	union rec r;

	rec_connection(&r, 0, 9, PROTO_TLS, ROLE_CLIENT, 50000, port);
	r.connection.inner = inner;
	r.header.tgid = tgid;
	r.header.time = f->now;
	libraries_event(f->l, &r.header);
	hear(f);
}

/* An exchange of which it was not sure for what it was, where flags say so. */
static inline void unsure(struct fixture *f, uint32_t tgid, uint16_t flags)
{
	struct event_exchange e = { .header = { .kind = EVENT_EXCHANGE, .tgid = tgid, .time = f->now },
				    .proto = PROTO_MYSQL,
				    .role = ROLE_CLIENT,
				    .source = SOURCE_WIRE,
				    .flags = flags };

	libraries_event(f->l, &e.header);
	hear(f);
}

/* A program that is probed once a link of it was not sure, at so many points, and from then on as long as it lives. */
static inline void probed_once_unsure(struct fixture *f, const char *path, uint32_t points)
{
	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, path, INO);
	assert_int_equal(f->opens, 1);
	opened(f, "/proc/self/exe");
	assert_int_equal(f->attaches, 0);
	unsure(f, 10, 0);
	assert_int_equal(f->attaches, 0);
	unsure(f, 10, EXCHANGE_PARENT_UNSURE);
	assert_int_equal(f->attaches, 1);
	assert_int_equal(f->attach.points_n, points);
	attached(f, 0);
	unsure(f, 10, EXCHANGE_PARENT_UNSURE);
	assert_int_equal(f->attaches, 0);
	for (int i = 0; i < 100; i++) {
		tick(f, S);
		assert_int_equal(f->detaches, 0);
	}
}

/* A process that mapped libpq, which is probed now. */
static inline void probed(struct fixture *f)
{
	if (!f->libpq[0])
		skip(); /* no libpq on this machine */
	process(f, 10, 1, PROCESS_EXEC);
	map(f, 10, "/usr/lib/libpq.so.5.15", INO);
	assert_int_equal(f->opens, 1);
	assert_false(libraries_settled(f->l) && f->attaches);
	opened(f, f->libpq);
	assert_int_equal(f->attaches, 1);
	assert_false(libraries_settled(f->l));
	attached(f, 0);
	assert_true(libraries_settled(f->l));
}

#endif
