/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/libraries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/elf.h"
#include "util/hashmap.h"
#include "worker/maps.h"

#define LIBRARIES_MAX 64 /* bits of struct process.libraries */
#define FILES_MAX 4096
#define SCANS_MAX 1024	/* processes that wait for their maps to be read */
#define SCANS_AT_ONCE 4 /* so that questions about who they are do not wait behind */
#define PORTS_MAX 8
#define MAPPINGS_MAX 16
#define ANCESTORS_MAX 8
#define WAITING_MAX 4
#define ATTACH_TRIES 3
#define PROOF_NS 5000000000ULL /* how long all must be readable on the wire before the probes go */
#define HIDDEN_NS \
	60000000000ULL /* how long after a hidden statement, or after it mapped the library, a process counts */

enum library_state { LIBRARY_FREE, LIBRARY_ATTACHING, LIBRARY_ATTACHED, LIBRARY_DETACHED, LIBRARY_FAILED };

/* A process that mapped the file, and where: what the keeper opens it by. */
struct mapping {
	uint32_t tgid;
	uint64_t start, len;
};

struct library {
	enum library_state state;
	uint32_t handle, token;
	uint32_t tgid;			       /* the process it was attached through */
	struct mapping mappings[MAPPINGS_MAX]; /* the newest */
	unsigned mappings_n;
	uint64_t attached; /* CLOCK_MONOTONIC ns */
	unsigned tries, detaches;
	bool spoke;		   /* a statement came from it since it was attached */
	uint16_t tls_port;	   /* the TLS connection it was attached again for, 0 = none */
	uint16_t ports[PORTS_MAX]; /* ports whose TLS turned out not to be PostgreSQL's */
	unsigned ports_n;
	struct message_point points[MESSAGE_POINTS_MAX];
	uint32_t points_n;
};

struct file_key {
	uint32_t dev_major, dev_minor;
	uint64_t ino;
};

/* A question that is open. */
struct asked {
	struct file_key key; /* ino 0: for the maps of a process */
	uint32_t tgid;
	bool at_start;
};

enum file_state { FILE_ASKED, FILE_NOTHING, FILE_LIBRARY };

struct file {
	enum file_state state;
	uint64_t generation; /* of the inode, 0 = not known yet */
	unsigned library;    /* FILE_LIBRARY: index */
	uint32_t token;	     /* FILE_ASKED, as the following */
	struct mapping waiting[WAITING_MAX];
	unsigned waiting_n;
};

struct libraries {
	struct processes *processes;
	struct outbox *out;
	struct ledger *ledger;
	struct hashmap *files;	   /* struct file_key -> struct file */
	struct hashmap *asked;	   /* token -> struct asked */
	unsigned start_open;	   /* of these, those about what was mapped before the start */
	bool at_start;		   /* what is asked now is about that */
	uint32_t scans[SCANS_MAX]; /* a ring */
	size_t scans_head, scans_n;
	struct library v[LIBRARIES_MAX];
	uint32_t next_token;
	uint64_t ticked;
};

struct libraries *libraries_new(struct processes *processes, struct outbox *out, struct ledger *ledger)
{
	struct libraries *l = calloc(1, sizeof(*l));

	if (!l)
		return NULL;
	l->processes = processes;
	l->out = out;
	l->ledger = ledger;
	l->files = hashmap_new(sizeof(struct file_key), sizeof(struct file), FILES_MAX, NULL, NULL);
	l->asked = hashmap_new(sizeof(uint32_t), sizeof(struct asked), FILES_MAX, NULL, NULL);
	if (l->files && l->asked)
		return l;
	libraries_free(l);
	return NULL;
}

void libraries_free(struct libraries *l)
{
	if (!l)
		return;
	hashmap_free(l->files);
	hashmap_free(l->asked);
	free(l);
}

/* Opening every library of the host would cost more than it finds: names, and executables for a static libpq. */
static bool worth_a_look(const char *path)
{
	const char *name = strrchr(path, '/');

	if (strstr(path, "libpq") || strstr(path, "psycopg"))
		return true;
	return name && !strstr(name, ".so");
}

static uint32_t new_token(struct libraries *l)
{
	return LIBRARIES_TOKEN | (l->next_token++ & (LIBRARIES_TOKEN - 1));
}

/* --- attaching --- */

/* Where the process, or the one it was forked from, mapped the library; else any living process that did. */
static bool find_mapping(struct libraries *l, const struct library *lib, const struct process *p, struct mapping *ret)
{
	const struct process *q;
	uint32_t tgid = p ? p->tgid : 0;

	/* an ancestor may be gone; where it mapped the file, its children still have it */
	for (int depth = 0; tgid && depth < ANCESTORS_MAX; depth++) {
		for (unsigned i = 0; i < lib->mappings_n; i++) {
			if (lib->mappings[i].tgid != tgid)
				continue;
			*ret = lib->mappings[i];
			ret->tgid = p->tgid;
			return true;
		}
		q = processes_find(l->processes, tgid);
		tgid = q ? q->parent : 0;
	}
	for (unsigned i = 0; i < lib->mappings_n; i++) {
		q = processes_find(l->processes, lib->mappings[i].tgid);
		if (q && !q->exited) {
			*ret = lib->mappings[i];
			return true;
		}
	}
	return false;
}

/* Has the library probed, by way of process p. */
static void attach(struct libraries *l, struct library *lib, const struct process *p)
{
	struct message_attach m = { .kind = MESSAGE_ATTACH, .token = new_token(l), .points_n = lib->points_n };
	struct mapping at;

	if (!find_mapping(l, lib, p && !p->exited ? p : NULL, &at))
		return;
	m.tgid = at.tgid;
	m.start = at.start;
	m.len = at.len;
	memcpy(m.points, lib->points, lib->points_n * sizeof(m.points[0]));
	if (outbox_send(l->out, &m, sizeof(m)))
		return;
	lib->state = LIBRARY_ATTACHING;
	lib->token = m.token;
	lib->tgid = at.tgid;
	lib->spoke = false;
}

static void detach(struct libraries *l, struct library *lib)
{
	struct message_detach m = { .kind = MESSAGE_DETACH, .handle = lib->handle };

	if (outbox_send(l->out, &m, sizeof(m)))
		return;
	if (lib->tls_port && !lib->spoke && lib->ports_n < PORTS_MAX)
		lib->ports[lib->ports_n++] = lib->tls_port;
	lib->tls_port = 0;
	lib->state = LIBRARY_DETACHED;
	lib->detaches++;
}

void libraries_attached(struct libraries *l, const struct message_attached *m)
{
	struct library *lib = NULL;
	struct process *p;
	void *cursor = NULL;

	for (size_t i = 0; i < LIBRARIES_MAX; i++)
		if (l->v[i].state == LIBRARY_ATTACHING && l->v[i].token == m->token)
			lib = &l->v[i];
	if (!lib)
		return;
	if (!m->error) {
		lib->state = LIBRARY_ATTACHED;
		lib->handle = m->handle;
		lib->attached = 0; /* from the next tick on */
		lib->tries = 0;
		return;
	}
	lib->state = LIBRARY_DETACHED;
	p = processes_find(l->processes, lib->tgid);
	/* it, or what it ran, only went away: some other process will do, now or when it maps the file */
	if (!p || p->exited || m->error == -ESRCH || m->error == -ENOENT) {
		while ((p = processes_next(l->processes, &cursor)))
			if (!p->exited && p->tgid != lib->tgid && p->libraries & 1ULL << (lib - l->v))
				break;
		if (p && ++lib->tries <= ATTACH_TRIES)
			attach(l, lib, p);
		return;
	}
	lib->state = LIBRARY_FAILED;
	ledger_add(l->ledger, USER_uprobe_attach_failed, 1);
}

static void add_user(struct libraries *l, unsigned index, const struct mapping *at)
{
	struct process *p = processes_find(l->processes, at->tgid), *child;
	struct library *lib = &l->v[index];
	void *cursor = NULL;

	if (lib->mappings_n == MAPPINGS_MAX)
		memmove(lib->mappings, lib->mappings + 1, --lib->mappings_n * sizeof(*at));
	lib->mappings[lib->mappings_n++] = *at;
	if (p) {
		p->libraries |= 1ULL << index;
		while ((child = processes_next(l->processes, &cursor))) /* forked while the file was looked at */
			if (child->parent == p->tgid && child->program == p->program)
				child->libraries |= 1ULL << index;
	}
	if (lib->state == LIBRARY_DETACHED)
		attach(l, lib, p);
}

/* --- which files --- */

static bool ask(struct libraries *l, const struct message_open *question, const struct file_key *key)
{
	struct asked *asked;

	if (hashmap_count(l->asked) == FILES_MAX)
		return false; /* the keeper is far behind */
	asked = hashmap_put(l->asked, &question->token, NULL);
	if (!asked)
		return false;
	if (outbox_send(l->out, question, sizeof(*question))) {
		hashmap_remove(l->asked, &question->token);
		return false;
	}
	*asked = (struct asked){ *key, question->tgid, l->at_start };
	l->start_open += l->at_start;
	return true;
}

void libraries_mapped(struct libraries *l, const struct message_mapped *m)
{
	/* /proc/PID/maps does not know the inode's generation, so it cannot be part of what tells files apart */
	struct file_key key = { .dev_major = m->dev_major, .dev_minor = m->dev_minor, .ino = m->ino };
	struct message_open question = {
		.kind = MESSAGE_OPEN, .tgid = m->tgid, .file = TARGET_MAPPING, .start = m->start, .len = m->len
	};
	const struct mapping at = { m->tgid, m->start, m->len };
	struct file *f;
	bool is_new;

	if (!m->ino || !memchr(m->path, '\0', sizeof(m->path)) || !worth_a_look(m->path))
		return;
	f = hashmap_put(l->files, &key, &is_new);
	if (!f)
		return;
	if (f->generation && m->ino_generation && f->generation != m->ino_generation)
		is_new = true; /* another file has got its number */
	if (!is_new) {
		if (m->ino_generation)
			f->generation = m->ino_generation;
		if (f->state == FILE_LIBRARY)
			add_user(l, f->library, &at);
		else if (f->state == FILE_ASKED && f->waiting_n < WAITING_MAX)
			f->waiting[f->waiting_n++] = at;
		return;
	}
	question.token = new_token(l);
	if (!ask(l, &question, &key)) {
		hashmap_remove(l->files, &key);
		return;
	}
	*f = (struct file){ .state = FILE_ASKED,
			    .generation = m->ino_generation,
			    .token = question.token,
			    .waiting = { at },
			    .waiting_n = 1 };
}

/* One slot for a file with functions of libpq: a free one, or one that no living process maps. */
static struct library *library_slot(struct libraries *l)
{
	uint64_t used = 0;
	struct process *p;
	void *cursor = NULL;
	struct file *f;
	const void *key;

	for (size_t i = 0; i < LIBRARIES_MAX; i++)
		if (l->v[i].state == LIBRARY_FREE)
			return &l->v[i];
	while ((p = processes_next(l->processes, &cursor)))
		used |= p->libraries;
	for (size_t i = 0; i < LIBRARIES_MAX; i++) {
		if (used & 1ULL << i || l->v[i].state == LIBRARY_ATTACHING)
			continue;
		if (l->v[i].state == LIBRARY_ATTACHED)
			detach(l, &l->v[i]);
		if (l->v[i].state == LIBRARY_ATTACHED)
			continue;
		for (cursor = NULL; (f = hashmap_next(l->files, &cursor, &key));)
			if (f->state == FILE_LIBRARY && f->library == i)
				hashmap_remove(l->files, key);
		l->v[i] = (struct library){ 0 };
		return &l->v[i];
	}
	return NULL;
}

static uint32_t find_points(int fd, struct message_point *points)
{
	static const struct {
		uint32_t number;
		bool entry, exit;
		const char *symbol;
	} functions[] = {
#define LIBPQ_FUNCTION(id, number, symbol, entry, ret) { number, entry, ret, symbol },
#include "libpq_functions.def"
#undef LIBPQ_FUNCTION
	};
	enum { N = sizeof(functions) / sizeof(functions[0]) };
	const char *names[N];
	struct elf_point found[N] = { 0 };
	uint32_t n = 0;

	_Static_assert(2 * N <= MESSAGE_POINTS_MAX, "entry and return of each function of libpq");
	for (size_t i = 0; i < N; i++)
		names[i] = functions[i].symbol;
	if (elf_find_points(fd, names, N, found) <= 0)
		return 0;
	for (size_t i = 0; i < N; i++) {
		if (!found[i].offset)
			continue;
		if (functions[i].entry)
			points[n++] = (struct message_point){ found[i].offset, functions[i].number, 0 };
		if (functions[i].exit)
			points[n++] = (struct message_point){ found[i].offset, functions[i].number, POINT_RETURN };
	}
	return n;
}

static void file_opened(struct libraries *l, const struct file_key *key, const struct message_opened *m, int fd)
{
	struct file *f = hashmap_get(l->files, key);
	struct message_point points[MESSAGE_POINTS_MAX];
	struct file asked;
	struct library *lib;
	uint32_t n;

	if (!f || f->state != FILE_ASKED || f->token != m->token)
		return;
	asked = *f;
	if (m->error || fd < 0) { /* most often the process is gone; the next one that maps the file asks again */
		hashmap_remove(l->files, key);
		return;
	}
	f->state = FILE_NOTHING;
	n = find_points(fd, points);
	lib = n ? library_slot(l) : NULL;
	f = hashmap_get(l->files, key); /* making room may have removed other files */
	if (!lib || !f)
		return;
	lib->state = LIBRARY_DETACHED;
	lib->points_n = n;
	memcpy(lib->points, points, n * sizeof(points[0]));
	f->state = FILE_LIBRARY;
	f->library = (unsigned)(lib - l->v);
	for (unsigned i = 0; i < asked.waiting_n; i++)
		add_user(l, f->library, &asked.waiting[i]);
}

/* --- what was mapped before the start --- */

static void run_scans(struct libraries *l)
{
	while (l->scans_n && l->start_open < SCANS_AT_ONCE) {
		struct message_open question = { .kind = MESSAGE_OPEN,
						 .token = new_token(l),
						 .tgid = l->scans[l->scans_head++ % SCANS_MAX],
						 .file = TARGET_MAPS };

		l->scans_n--;
		l->at_start = true;
		ask(l, &question, &(struct file_key){ 0 });
		l->at_start = false;
	}
}

void libraries_scan(struct libraries *l, uint32_t tgid)
{
	struct process *p = processes_find(l->processes, tgid);

	if (!p || p->maps_known || p->exited || l->scans_n == SCANS_MAX)
		return;
	p->maps_known = true;
	l->scans[(l->scans_head + l->scans_n++) % SCANS_MAX] = tgid;
}

static void mapped_at_start(void *context, const struct message_mapped *m)
{
	libraries_mapped(context, m);
}

void libraries_opened(struct libraries *l, const struct message_opened *m, int fd)
{
	const struct asked *found = hashmap_get(l->asked, &m->token);
	struct asked asked;

	if (!found)
		return;
	asked = *found;
	hashmap_remove(l->asked, &m->token);
	l->start_open -= asked.at_start;
	l->at_start = asked.at_start; /* and what follows from it */
	if (asked.key.ino)
		file_opened(l, &asked.key, m, fd);
	else if (!m->error && fd >= 0)
		maps_read(fd, asked.tgid, mapped_at_start, l);
	l->at_start = false;
	run_scans(l);
}

bool libraries_settled(const struct libraries *l)
{
	for (size_t i = 0; i < LIBRARIES_MAX; i++)
		if (l->v[i].state == LIBRARY_ATTACHING)
			return false;
	return !l->start_open && !l->scans_n;
}

/* --- policy --- */

/* postgres: PostgreSQL's own request for TLS was seen; else it may be anything, which the port then stands for. */
static void tls_began(struct libraries *l, struct process *p, bool postgres, uint16_t port, uint64_t time)
{
	if (!p->libraries)
		ledger_add(l->ledger, USER_conns_unreadable, 1);
	if (postgres)
		p->hidden = time;
	for (unsigned i = 0; i < LIBRARIES_MAX; i++) {
		struct library *lib = &l->v[i];
		bool known = false;

		if (!(p->libraries & 1ULL << i) || lib->state != LIBRARY_DETACHED)
			continue;
		for (unsigned k = 0; k < lib->ports_n && !postgres; k++)
			known = known || lib->ports[k] == port;
		if (known)
			continue;
		attach(l, lib, p);
		lib->tls_port = postgres ? 0 : port;
	}
}

static void spoke(struct libraries *l, struct process *p, enum exchange_source source, uint64_t time)
{
	if (source == SOURCE_WIRE) {
		if (!p->wire_since)
			p->wire_since = time;
		return;
	}
	p->hidden = time;
	for (unsigned i = 0; i < LIBRARIES_MAX; i++)
		if (p->libraries & 1ULL << i)
			l->v[i].spoke = true;
}

void libraries_event(struct libraries *l, const struct event_header *e)
{
	const struct event_exchange *exchange = (const void *)e;
	const struct event_connection *conn = (const void *)e;
	const struct event_stream *stream = (const void *)e;
	bool is_exchange =
		e->kind == EVENT_EXCHANGE && exchange->proto == PROTO_POSTGRES && exchange->role == ROLE_CLIENT;
	bool is_tls = e->kind == EVENT_CONNECTION && conn->proto == PROTO_TLS && conn->role == ROLE_CLIENT;
	bool is_stream = e->kind == EVENT_STREAM && stream->proto == PROTO_POSTGRES && stream->role == ROLE_CLIENT;
	bool is_conn = e->kind == EVENT_CONNECTION && conn->role == ROLE_CLIENT;
	struct process *p = is_exchange || is_conn || is_stream ? processes_find(l->processes, e->tgid) : NULL;

	if (!p)
		return;
	if (is_conn)
		libraries_scan(l, p->tgid); /* it was silent until now, and older than we are */
	if (is_tls)
		tls_began(l, p, conn->inner == PROTO_POSTGRES, conn->remote_port, e->time);
	else if (!is_conn)
		spoke(l, p, is_stream ? SOURCE_WIRE : (enum exchange_source)exchange->source, e->time);
}

/* Proven readable: 1. Not needing the probes, but no proof: 0. Needing them: -1. */
static int proof(const struct process *p, uint64_t since, uint64_t need, uint64_t now)
{
	if (p->exited)
		return 0;
	if (p->hidden && now < p->hidden + HIDDEN_NS)
		return -1;
	if (!p->wire_since)
		return now < p->seen + HIDDEN_NS ? -1 : 0;
	since = p->wire_since > since ? p->wire_since : since;
	return now < since + need ? -1 : 1;
}

void libraries_tick(struct libraries *l, uint64_t now)
{
	uint64_t proven = 0, needed = 0;
	struct process *p;
	void *cursor = NULL;

	run_scans(l);
	if (now < l->ticked + 1000000000ULL)
		return;
	l->ticked = now;
	while ((p = processes_next(l->processes, &cursor))) {
		for (unsigned i = 0; p->libraries >> i; i++) {
			struct library *lib = &l->v[i];
			/* each time that it had to be attached again it may stay longer */
			uint64_t need = PROOF_NS << (lib->detaches < 6 ? lib->detaches : 6);
			int r;

			if (!(p->libraries & 1ULL << i))
				continue;
			r = proof(p, lib->attached ? lib->attached : now, need, now);
			proven |= (uint64_t)(r > 0) << i;
			needed |= (uint64_t)(r < 0) << i;
			if (i == LIBRARIES_MAX - 1)
				break;
		}
	}
	for (unsigned i = 0; i < LIBRARIES_MAX; i++) {
		if (l->v[i].state != LIBRARY_ATTACHED)
			continue;
		if (!l->v[i].attached)
			l->v[i].attached = now;
		else if (proven & ~needed & 1ULL << i)
			detach(l, &l->v[i]);
	}
}
