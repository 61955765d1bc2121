/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/banner.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"

#define SOCKETS_MAX 4096
#define GROUPS_MAX 1024
#define LINES_MAX 12
#define PEERS_MAX 4
#define STATE_ESTABLISHED 1 /* include/net/tcp_states.h: part of the kernel's interface (tcp(7), /proc/net/tcp) */
#define STATE_LISTEN 10

struct socket_seen {
	uint32_t tgid;
	bool listens, client;
	uint16_t family, local_port, remote_port;
	uint8_t local_addr[16], remote_addr[16];
};

struct banner {
	struct socket_seen *v;
	size_t n, cap;
};

/* One line: the processes of one service name. */
struct group {
	struct bytes name; /* in its resource */
	const struct process *first;
	unsigned processes;
	uint16_t ports[SERVICE_PORTS_MAX];
	size_t ports_n;
	struct buf peers;
	unsigned peers_n;
};

struct banner *banner_new(void)
{
	return calloc(1, sizeof(struct banner));
}

void banner_free(struct banner *b)
{
	if (!b)
		return;
	free(b->v);
	free(b);
}

void banner_socket(struct banner *b, const struct message_socket *m)
{
	const struct event_connection *c = &m->conn;

	if (m->state != STATE_LISTEN && m->state != STATE_ESTABLISHED)
		return;
	if (b->n == SOCKETS_MAX)
		return;
	if (b->n == b->cap) {
		size_t cap = b->cap ? b->cap * 2 : 64;
		struct socket_seen *v = reallocarray(b->v, cap, sizeof(*v));

		if (!v)
			return;
		b->v = v;
		b->cap = cap;
	}
	b->v[b->n] = (struct socket_seen){ .tgid = m->tgid,
					   .listens = m->state == STATE_LISTEN,
					   .client = c->role == ROLE_CLIENT,
					   .family = c->family,
					   .local_port = c->local_port,
					   .remote_port = c->remote_port };
	memcpy(b->v[b->n].local_addr, c->local_addr, sizeof(c->local_addr));
	memcpy(b->v[b->n].remote_addr, c->remote_addr, sizeof(c->remote_addr));
	b->n++;
}

bool banner_waits(const struct banner *b, struct processes *p)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct process *owner = processes_find(p, b->v[i].tgid);

		if (owner && !owner->exited && owner->program && !owner->program->known)
			return true;
	}
	return false;
}

static struct group *group_of(struct group *groups, size_t n, struct bytes name)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_eq(groups[i].name, name))
			return &groups[i];
	return NULL;
}

static bool has_port(const struct group *g, uint16_t port)
{
	for (size_t i = 0; i < g->ports_n; i++)
		if (g->ports[i] == port)
			return true;
	return false;
}

static void add_port(struct group *g, uint16_t port)
{
	if (port && g->ports_n < SERVICE_PORTS_MAX && !has_port(g, port))
		g->ports[g->ports_n++] = port;
}

static struct group *group_of_process(struct processes *p, struct group *groups, size_t n,
				      const struct process *process)
{
	struct resource *r =
		process && !process->exited ? processes_resource(p, process->tgid, process->service) : NULL;

	return r ? group_of(groups, n, resource_service(r)) : NULL;
}

static bool local(const struct socket_seen *s)
{
	size_t n = s->family == AF_INET ? 4 : 16;

	return (s->family == AF_INET && s->remote_addr[0] == 127) || memcmp(s->local_addr, s->remote_addr, n) == 0;
}

static void peer_name(const struct socket_seen *s, const struct group *groups, size_t n, const struct group *self,
		      struct buf *ret)
{
	static const struct {
		uint16_t port;
		const char *name;
	} known[] = { { 5432, "postgresql " }, { 6379, "redis " },	{ 3306, "mysql " }, { 27017, "mongodb " },
		      { 5672, "rabbitmq " },   { 11211, "memcached " }, { 9092, "kafka " } };
	char address[INET6_ADDRSTRLEN];

	for (size_t i = 0; i < n && local(s); i++)
		if (&groups[i] != self && has_port(&groups[i], s->remote_port)) {
			buf_add(ret, groups[i].name);
			return;
		}
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].port == s->remote_port)
			buf_str(ret, known[i].name);
	if (inet_ntop(s->family, s->remote_addr, address, sizeof(address)))
		buf_printf(ret, s->family == AF_INET6 ? "[%s]:%u" : "%s:%u", address, s->remote_port);
}

/* Adds a name to a list "a, b" that has it only once. */
static void add_peer(struct group *g, struct bytes name)
{
	struct bytes rest = buf_bytes(&g->peers);

	while (rest.n) {
		const char *comma = memmem(rest.p, rest.n, ", ", 2);
		size_t n = comma ? (size_t)(comma - rest.p) : rest.n;

		if (bytes_eq(bytes_head(rest, n), name))
			return;
		rest = bytes_tail(rest, n + 2);
	}
	if (g->peers_n++ >= PEERS_MAX)
		return;
	if (g->peers.n)
		buf_str(&g->peers, ", ");
	buf_add(&g->peers, name);
}

static size_t find_groups(const struct banner *b, struct processes *p, struct group *groups)
{
	struct process *process;
	void *cursor = NULL;
	size_t n = 0;

	for (size_t i = 0; i < b->n; i++) {
		struct process *owner = processes_find(p, b->v[i].tgid);
		struct resource *r = owner ? processes_resource(p, owner->tgid, owner->service) : NULL;
		struct group *g = r ? group_of(groups, n, resource_service(r)) : NULL;

		if (!g && r && n < GROUPS_MAX) {
			g = &groups[n++];
			*g = (struct group){ .name = resource_service(r), .first = owner };
		}
		if (g && b->v[i].listens)
			add_port(g, b->v[i].local_port);
	}
	while ((process = processes_next(p, &cursor))) {
		struct group *g;

		if (!process->program || !process->program->known)
			continue;
		g = group_of_process(p, groups, n, process);
		if (g)
			g->processes++;
	}
	return n;
}

static void find_peers(const struct banner *b, struct processes *p, struct group *groups, size_t n)
{
	for (size_t i = 0; i < b->n; i++) {
		const struct socket_seen *s = &b->v[i];
		struct group *g = group_of_process(p, groups, n, processes_find(p, s->tgid));
		struct buf name = { 0 };

		if (!g || s->listens || (s->family != AF_INET && s->family != AF_INET6) || has_port(g, s->local_port))
			continue;
		peer_name(s, groups, n, g, &name);
		if (name.n)
			add_peer(g, buf_bytes(&name));
		buf_free(&name);
	}
}

static void print_group(const struct group *g, int width, bool first, struct buf *out)
{
	const struct program *program = g->first->program;
	struct bytes exe = buf_bytes(&program->exe);
	struct buf what = { 0 }, ports = { 0 };
	size_t start = out->n;
	const char *slash = exe.n ? memrchr(exe.p, '/', exe.n) : NULL;

	buf_printf(&what, "%.*s", (int)strnlen(program->comm, sizeof(program->comm)), program->comm);
	if (g->processes > 1)
		buf_printf(&what, ", %u processes", g->processes);
	if (slash)
		exe = bytes_tail(exe, (size_t)(slash - exe.p) + 1);
	if (exe.n && !bytes_eq(bytes_head(exe, sizeof(program->comm) - 1),
			       bytes_of(program->comm, strnlen(program->comm, sizeof(program->comm)))))
		buf_printf(&what, ", %.*s", (int)exe.n, exe.p);
	for (size_t i = 0; i < g->ports_n && i < PEERS_MAX; i++)
		buf_printf(&ports, "%s:%u", i ? " " : "", g->ports[i]);
	if (g->ports_n > PEERS_MAX)
		buf_printf(&ports, " and %zu more", g->ports_n - PEERS_MAX);
	buf_printf(out, "%-10s%-*.*s  %-34s %-9s", first ? "watching" : "", width, (int)g->name.n, g->name.p,
		   what.n ? what.p : "", ports.n ? ports.p : "");
	if (g->peers.n)
		buf_printf(out, "  talks to %s", g->peers.p);
	if (g->peers_n > PEERS_MAX)
		buf_printf(out, " and %u more", g->peers_n - PEERS_MAX);
	while (out->n && out->p[out->n - 1] == ' ')
		out->p[--out->n] = '\0';
	for (size_t i = start; i < out->n;
	     i++) /* names come from others: no control character of theirs gets through */
		if ((unsigned char)out->p[i] < 0x20 || out->p[i] == 0x7f)
			out->p[i] = '?';
	buf_char(out, '\n');
	buf_free(&what);
	buf_free(&ports);
}

static void print_groups(const struct group *groups, size_t n, struct buf *out)
{
	size_t width = 8;

	for (size_t i = 0; i < n && i < LINES_MAX; i++)
		if (groups[i].name.n > width)
			width = groups[i].name.n < 32 ? groups[i].name.n : 32;
	for (size_t i = 0; i < n && i < LINES_MAX; i++)
		print_group(&groups[i], (int)width, i == 0, out);
	if (n > LINES_MAX)
		buf_printf(out, "          and %zu more services\n", n - LINES_MAX);
	if (n == 0)
		buf_str(out, "watching  nothing yet: no process with open sockets is selected. New ones are found as "
			     "they start.\n");
}

static void print_export(const struct config *cfg, struct buf *out)
{
	buf_str(out, "export    ");
	if (cfg->traces.endpoint)
		buf_printf(out, "traces to %s", cfg->traces.endpoint);
	if (cfg->metrics.endpoint)
		buf_printf(out, "%smetrics to %s", cfg->traces.endpoint ? ", " : "", cfg->metrics.endpoint);
	if (cfg->console && (cfg->traces.endpoint || cfg->metrics.endpoint))
		buf_str(out, ", console");
	else if (cfg->console)
		buf_str(out, "console (set OTEL_EXPORTER_OTLP_ENDPOINT to send to Jaeger or any OTLP backend)");
	else if (!cfg->traces.endpoint && !cfg->metrics.endpoint)
		buf_str(out, "nowhere: only the summary at the end");
	buf_char(out, '\n');
}

void banner_print(struct banner *b, struct processes *p, const struct config *cfg, int fd, uint64_t started,
		  uint64_t now)
{
	_cleanup_free_ struct group *groups = calloc(GROUPS_MAX, sizeof(*groups));
	size_t n = groups ? find_groups(b, p, groups) : 0;
	struct buf out = { 0 };

	find_peers(b, p, groups, n);
	print_groups(groups, n, &out);
	print_export(cfg, &out);
	buf_printf(&out, "ready     after %.1f s. Ctrl-C stops and prints a summary.", (double)(now - started) / 1e9);
	if (cfg->console && cfg->format == FORMAT_TEXT)
		buf_str(&out, " No traffic here? `make demo` starts a small shop to watch.");
	buf_str(&out, "\n");
	for (size_t at = 0; at < out.n;) {
		ssize_t written = write(fd, out.p + at, out.n - at);

		if (written <= 0)
			break;
		at += (size_t)written;
	}
	for (size_t i = 0; i < n; i++)
		buf_free(&groups[i].peers);
	buf_free(&out);
}
