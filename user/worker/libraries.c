/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/libraries.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "util/clock.h"
#include "worker/libraries_state.h"
#include "worker/maps.h"

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

void libraries_attach(struct libraries *l, struct library *lib, const struct process *p)
{
	struct message_attach m = { .kind = MESSAGE_ATTACH, .token = new_token(l), .points_n = lib->points.n };
	struct mapping at;

	if (!find_mapping(l, lib, p && !p->exited ? p : NULL, &at))
		return;
	m.tgid = at.tgid;
	m.start = at.start;
	m.len = at.len;
	memcpy(m.points, lib->points.v, lib->points.n * sizeof(m.points[0]));
	if (outbox_send(l->out, &m, sizeof(m)))
		return;
	lib->state = LIBRARY_ATTACHING;
	lib->token = m.token;
	lib->tgid = at.tgid;
	lib->spoke = false;
}

void libraries_detach(struct libraries *l, struct library *lib)
{
	struct message_detach m = { .kind = MESSAGE_DETACH, .handle = lib->handle };

	if (outbox_send(l->out, &m, sizeof(m)))
		return;
	if (lib->tls_port && !lib->spoke && lib->ports_n < PORTS_MAX)
		lib->ports[lib->ports_n++] = lib->tls_port;
	lib->tls_port = 0;
	lib->state = LIBRARY_DETACHED;
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
			libraries_attach(l, lib, p);
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
	if (lib->state == LIBRARY_DETACHED && library_wanted(l, lib, p))
		libraries_attach(l, lib, p);
}

static void tell_strands(struct libraries *l, const struct file *f, const struct mapping *at)
{
	struct message_strands m = { .kind = MESSAGE_STRANDS, .tgid = at->tgid };

	if (f->is_go) {
		m.strand = STRAND_GO;
		m.at = (uint64_t)f->go_g;
		m.minor = f->go_minor;
	} else if (f->tokio) {
		m.strand = STRAND_TOKIO;
		m.at = (uint64_t)f->tokio;
	} else if (f->python.minor) {
		m.strand = STRAND_PYTHON;
		m.minor = f->python.minor;
		m.at = at->start - at->pgoff + f->python.runtime;
	} else if (f->jvm.is_virtual) {
		m.strand = STRAND_JAVA;
		m.at = at->start - at->pgoff + f->jvm.place;
		memcpy(m.java, f->jvm.entries, sizeof(m.java));
	} else {
		return;
	}
	outbox_send(l->out, &m, sizeof(m));
}

/* The process maps a file of which all is known. */
static void use_file(struct libraries *l, const struct file *f, const struct mapping *at)
{
	struct process *p = processes_find(l->processes, at->tgid);

	for (unsigned i = 0; i < LIBRARIES_MAX; i++)
		if (f->libraries & 1ULL << i)
			add_user(l, i, at);
	tell_strands(l, f, at);
	if (f->is_go && p) {
		p->hints |= HINT_OWN_TLS;
		library_own_tls(l, p);
	}
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

static void add_hints(struct libraries *l, struct process *p, uint8_t hints)
{
	struct message_strands m = { .kind = MESSAGE_STRANDS, .tgid = p->tgid };

	m.strand = hints & HINT_GREENLETS ? STRAND_GREENLETS : STRAND_POOLS;
	if (hints & ~p->hints & (HINT_GREENLETS | HINT_OWN_TLS))
		outbox_send(l->out, &m, sizeof(m));
	p->hints |= hints;
}

static void mapped(struct libraries *l, const struct message_mapped *m)
{
	/* /proc/PID/maps does not know the inode's generation, so it cannot be part of what tells files apart */
	struct file_key key = { .dev_major = m->dev_major, .dev_minor = m->dev_minor, .ino = m->ino };
	struct message_open question = {
		.kind = MESSAGE_OPEN, .tgid = m->tgid, .file = TARGET_MAPPING, .start = m->start, .len = m->len
	};
	const struct mapping at = { m->tgid, m->start, m->len, m->pgoff };
	struct process *p = processes_find(l->processes, m->tgid);
	struct file *f;
	bool is_new;

	if (!m->ino || !memchr(m->path, '\0', sizeof(m->path)))
		return;
	if (p) {
		p->mapped = clock_monotonic();
		add_hints(l, p, library_hints(m->path));
	}
	if (p && p->hints & HINT_OWN_TLS)
		library_own_tls(l, p);
	if (!library_worth_a_look(m->path))
		return;
	f = hashmap_put(l->files, &key, &is_new);
	if (!f)
		return;
	if (f->generation && m->ino_generation && f->generation != m->ino_generation)
		is_new = true; /* another file has got its number */
	if (!is_new) {
		if (m->ino_generation)
			f->generation = m->ino_generation;
		if (f->state == FILE_KNOWN)
			use_file(l, f, &at);
		else if (f->waiting_n < WAITING_MAX)
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

void libraries_mapped(struct libraries *l, const struct message_mapped *m)
{
	if (processes_find(l->processes, m->tgid) || l->early_n == EARLY_MAX)
		mapped(l, m);
	else
		l->early[l->early_n++] = (struct early){ .m = *m };
}

static void take_early(struct libraries *l, uint64_t now)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < l->early_n; i++) {
		struct early *e = &l->early[i];

		if (!e->until)
			e->until = now + EARLY_NS;
		if (processes_find(l->processes, e->m.tgid) || now >= e->until)
			mapped(l, &e->m);
		else
			l->early[kept++] = *e;
	}
	l->early_n = kept;
}

/* One slot for a file with functions worth probing: a free one, or one that no living process maps. */
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
			libraries_detach(l, &l->v[i]);
		if (l->v[i].state == LIBRARY_ATTACHED)
			continue;
		for (cursor = NULL; (f = hashmap_next(l->files, &cursor, &key));)
			if (f->libraries & 1ULL << i)
				hashmap_remove(l->files, key);
		l->v[i] = (struct library){ 0 };
		return &l->v[i];
	}
	return NULL;
}

static void file_opened(struct libraries *l, const struct file_key *key, const struct message_opened *m, int fd)
{
	struct file *f = hashmap_get(l->files, key);
	struct library_points points[LIBRARY_KINDS];
	struct library *lib;
	struct file asked;

	if (!f || f->state != FILE_ASKED || f->token != m->token)
		return;
	asked = *f;
	if (m->error || fd < 0) { /* most often the process is gone; the next one that maps the file asks again */
		hashmap_remove(l->files, key);
		return;
	}
	f->state = FILE_KNOWN;
	asked.is_go = f->is_go = library_is_go(fd, &f->go_minor);
	asked.go_minor = f->go_minor;
	asked.go_g = f->go_g = f->is_go ? library_go_g(fd) : 0;
	asked.tokio = f->tokio = f->is_go ? 0 : library_tokio(fd);
	if (!library_python(fd, m->path, &f->python))
		ledger_add(l->ledger, USER_pythons_unknown, 1);
	asked.python = f->python;
	if (!library_jvm(fd, m->path, &f->jvm)) {
		f->jvm.is_virtual = false;
		ledger_add(l->ledger, USER_jvms_unknown, 1);
	}
	asked.jvm = f->jvm;
	library_find_points(fd, points);
	for (int kind = 0; kind < LIBRARY_KINDS && !asked.is_go; kind++) {
		lib = points[kind].n ? library_slot(l) : NULL;
		if (!lib)
			continue;
		lib->state = LIBRARY_DETACHED;
		lib->kind = kind;
		lib->points = points[kind];
		asked.libraries |= 1ULL << (lib - l->v);
	}
	f = hashmap_get(l->files, key); /* making room may have removed other files */
	if (!f)
		return;
	f->libraries = asked.libraries;
	for (unsigned i = 0; i < asked.waiting_n; i++)
		use_file(l, &asked, &asked.waiting[i]);
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
	mapped(context, m);
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

void libraries_tick(struct libraries *l, uint64_t now)
{
	take_early(l, now);
	run_scans(l);
	library_policy_tick(l, now);
}

bool libraries_settled(const struct libraries *l)
{
	for (size_t i = 0; i < LIBRARIES_MAX; i++)
		if (l->v[i].state == LIBRARY_ATTACHING)
			return false;
	return !l->start_open && !l->scans_n;
}
