/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When libraries are probed. uvloop: as long as a process maps it. Node.js, tokio: from the first link of a process
 * that was not sure, as long as that lives. libpq: from the moment a process maps it, until
 * every process that maps it proved readable on the wire, and again from the first TLS negotiation after that. OpenSSL:
 * see library_wanted().
 */
#include "worker/libraries_state.h"

#define LOOK_NS 50000000ULL	   /* how often that is decided */
#define PROOF_NS 100000000ULL	   /* how long all must be readable on the wire before the probes go */
#define SILENT_NS 60000000000ULL   /* how long a process counts that mapped the library and said nothing yet */
#define HIDDEN_NS 3600000000000ULL /* how long one counts after a hidden statement: it may keep that connection */

/* Does the process need OpenSSL probed? It speaks TLS that libpq does not tell of, or may do so. */
static bool needs_openssl(const struct process *p)
{
	return !p->exited && !p->ignored && (p->tls || !(p->hints & (HINT_LIBPQ | HINT_DATABASE)));
}

/* Is there a client of databases whose TLS only the server's end can read, or was there just now? */
static bool has_hidden_clients(const struct libraries *l, uint64_t now)
{
	struct process *p;
	void *cursor = NULL;

	while ((p = processes_next(l->processes, &cursor)))
		if (p->hints & HINT_OWN_TLS && !p->exited && !p->ignored)
			return true;
	return l->hidden_client && now < l->hidden_client + SILENT_NS;
}

/*
 * A file is probed for all processes that map it, and a call of OpenSSL that is probed costs microseconds. So it is
 * not for the sake of programs whose statements libpq tells of, at less cost, nor of database servers, unless their
 * clients cannot be read. All others may speak HTTP at any time, and when they speak no TLS, probes cost nothing.
 */
bool library_wanted(const struct libraries *l, const struct library *lib, const struct process *p)
{
	if (lib->kind == KIND_NODE || lib->kind == KIND_TOKIO)
		return p && p->hints & HINT_UNSURE;
	if (lib->kind != KIND_OPENSSL || !p)
		return true;
	return needs_openssl(p) || (p->hints & HINT_DATABASE && !p->exited && has_hidden_clients(l, l->ticked));
}

static bool is_loop(const struct library *lib)
{
	return lib->kind == KIND_UVLOOP || lib->kind == KIND_NODE || lib->kind == KIND_TOKIO;
}

/* Has the OpenSSL of database servers probed. */
static void read_at_databases(struct libraries *l)
{
	struct process *p;
	void *cursor = NULL;

	while ((p = processes_next(l->processes, &cursor))) {
		if (!(p->hints & HINT_DATABASE) || p->exited || p->ignored)
			continue;
		for (unsigned i = 0; i < LIBRARIES_MAX; i++)
			if (p->libraries & 1ULL << i && l->v[i].kind == KIND_OPENSSL &&
			    l->v[i].state == LIBRARY_DETACHED)
				libraries_attach(l, &l->v[i], p);
	}
}

void library_own_tls(struct libraries *l, struct process *p)
{
	if (!p->exited && !p->ignored)
		read_at_databases(l);
}

static bool has_database_on(struct libraries *l, uint16_t port)
{
	struct process *p;
	void *cursor = NULL;

	while ((p = processes_next(l->processes, &cursor))) {
		const uint16_t *ports;
		size_t n = 0;

		if (!(p->hints & HINT_DATABASE) || p->exited)
			continue;
		ports = processes_ports(l->processes, p->service, &n);
		for (size_t i = 0; i < n; i++)
			if (ports[i] == port)
				return true;
	}
	return false;
}

/* A database's client negotiated TLS, or it may be anything, which the port then stands for. */
static void tls_began(struct libraries *l, struct process *p, const struct event_connection *conn)
{
	bool database = conn->inner != 0, told = database && p->hints & HINT_LIBPQ && p->libraries;
	bool at_server = database && !p->libraries && has_database_on(l, conn->remote_port);

	if (conn->role == ROLE_SERVER && (database || p->hints & HINT_DATABASE))
		return; /* the client's end decides */
	if (conn->role == ROLE_CLIENT && !p->libraries && !at_server)
		ledger_add(l->ledger, USER_conns_unreadable, 1);
	if (at_server) {
		l->hidden_client = conn->header.time;
		p->hints |= HINT_OWN_TLS; /* it may keep the connection as long as it lives */
		read_at_databases(l);
	}
	if (database && conn->role == ROLE_CLIENT)
		p->negotiated = conn->header.time;
	if (!told)
		p->tls = conn->header.time;
	for (unsigned i = 0; i < LIBRARIES_MAX; i++) {
		struct library *lib = &l->v[i];
		bool known = lib->kind == KIND_OPENSSL ? told : conn->role == ROLE_SERVER;

		if (!(p->libraries & 1ULL << i) || lib->state != LIBRARY_DETACHED || is_loop(lib))
			continue;
		for (unsigned k = 0; k < lib->ports_n && !database; k++)
			known = known || lib->ports[k] == conn->remote_port;
		if (known)
			continue;
		libraries_attach(l, lib, p);
		lib->relapses++;
		lib->tls_port = database || lib->kind == KIND_OPENSSL ? 0 : conn->remote_port;
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

/* The callbacks of its event loop, or what wakes and starts its tasks, may tell what was not sure. */
static void was_unsure(struct libraries *l, struct process *p)
{
	if (p->hints & HINT_UNSURE)
		return;
	p->hints |= HINT_UNSURE;
	for (unsigned i = 0; i < LIBRARIES_MAX; i++)
		if (p->libraries & 1ULL << i && (l->v[i].kind == KIND_NODE || l->v[i].kind == KIND_TOKIO) &&
		    l->v[i].state == LIBRARY_DETACHED)
			libraries_attach(l, &l->v[i], p);
}

void libraries_event(struct libraries *l, const struct event_header *e)
{
	const struct event_exchange *exchange = (const void *)e;
	const struct event_connection *conn = (const void *)e;
	const struct event_stream *stream = (const void *)e;
	bool is_exchange = e->kind == EVENT_EXCHANGE, is_conn = e->kind == EVENT_CONNECTION;
	bool is_stream = e->kind == EVENT_STREAM;
	struct process *p = is_exchange || is_conn || is_stream ? processes_find(l->processes, e->tgid) : NULL;

	if (!p)
		return;
	if (is_conn && conn->role == ROLE_CLIENT)
		libraries_scan(l, p->tgid); /* it was silent until now, and older than we are */
	if (is_conn && conn->proto == PROTO_TLS)
		tls_began(l, p, conn);
	if ((is_conn && conn->tls) || (is_exchange && exchange->flags & EXCHANGE_TLS))
		p->tls = e->time;
	if (is_exchange && exchange->flags & EXCHANGE_PARENT_UNSURE)
		was_unsure(l, p);
	if (is_exchange && exchange->proto == PROTO_POSTGRES && exchange->role == ROLE_CLIENT) {
		spoke(l, p, (enum exchange_source)exchange->source, e->time);
		if (exchange->source == SOURCE_WIRE && exchange->flags & EXCHANGE_TLS)
			p->negotiated = 0; /* from now on OpenSSL is probed as long as it lives */
	} else if (is_stream && stream->proto == PROTO_POSTGRES && stream->role == ROLE_CLIENT)
		spoke(l, p, SOURCE_WIRE, e->time);
}

/* Proven readable: 1. Not needing the probes, but no proof: 0. Needing them: -1. */
static int proof(const struct process *p, uint64_t since, uint64_t need, uint64_t now)
{
	if (p->exited)
		return 0;
	if ((p->hidden && now < p->hidden + HIDDEN_NS) || (p->negotiated && now < p->negotiated + HIDDEN_NS))
		return -1;
	if (!p->wire_since)
		return now < p->seen + SILENT_NS ? -1 : 0;
	since = p->wire_since > since ? p->wire_since : since;
	return now < since + need ? -1 : 1;
}

/*
 * The same for OpenSSL. A connection that it told of is told by nobody else: once a process needed it, that stays so
 * until the process ends.
 */
static int openssl_proof(const struct libraries *l, const struct library *lib, const struct process *p, uint64_t need,
			 uint64_t now)
{
	if (p->exited)
		return 0;
	if (needs_openssl(p) || (p->hints & HINT_DATABASE && has_hidden_clients(l, now)))
		return -1;
	return lib->attached && now >= lib->attached + SILENT_NS + need ? 1 : -1;
}

void library_policy_tick(struct libraries *l, uint64_t now)
{
	uint64_t proven = 0, needed = 0;
	struct process *p;
	void *cursor = NULL;

	if (now < l->ticked + LOOK_NS)
		return;
	l->ticked = now;
	while ((p = processes_next(l->processes, &cursor))) {
		for (unsigned i = 0; p->libraries >> i; i++) {
			struct library *lib = &l->v[i];
			/* each time that the proof did not hold it may stay longer */
			uint64_t need = PROOF_NS << (lib->relapses < 8 ? lib->relapses : 8);
			int r;

			if (!(p->libraries & 1ULL << i))
				continue;
			if (is_loop(lib))
				r = p->exited || !library_wanted(l, lib, p) ? 0 : -1;
			else
				r = lib->kind == KIND_LIBPQ ? proof(p, lib->attached ? lib->attached : now, need, now)
							    : openssl_proof(l, lib, p, need, now);
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
			libraries_detach(l, &l->v[i]);
	}
}
