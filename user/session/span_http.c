/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP spans and metrics: semantic conventions, docs/http/http-spans.md and http-metrics.md. */
#include <stdio.h>
#include <sys/socket.h>

#include "frame/http1.h"
#include "session/assembly.h"
#include "session/url.h"

struct method {
	struct bytes name;
	uint8_t method;
};

#define METHOD(name)                                      \
	{                                                 \
		{ #name, sizeof(#name) - 1 }, HTTP_##name \
	}

static const struct method methods[] = {
	METHOD(GET),	 METHOD(HEAD),	  METHOD(POST),	 METHOD(PUT),	METHOD(DELETE),
	METHOD(CONNECT), METHOD(OPTIONS), METHOD(TRACE), METHOD(PATCH), METHOD(QUERY),
};

/* The method as the conventions know it (case-sensitive), NULL when it is another. */
static const struct method *known_method(const struct finished *f)
{
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (f->op->method.n ? bytes_eq(f->op->method, methods[i].name) : f->method == methods[i].method)
			return &methods[i];
	return NULL;
}

static struct bytes scheme(const struct finished *f)
{
	struct bytes said = f->op->forwarded_proto;

	if (f->role == ROLE_SERVER) {
		if (bytes_ieq(said, BYTES_LITERAL("https")))
			return BYTES_LITERAL("https");
		if (bytes_ieq(said, BYTES_LITERAL("http")))
			return BYTES_LITERAL("http");
	}
	if (f->flags & EXCHANGE_TLS || (f->conn && f->conn->tls))
		return BYTES_LITERAL("https");
	return BYTES_LITERAL("http");
}

static uint32_t status_of(const struct finished *f)
{
	uint32_t status = f->status;

	if (status < 100 || status > 599)
		status = f->op->http_status;
	return status >= 100 && status <= 599 ? status : 0;
}

/* The error.type of it, empty when it did not fail. buf: at least 4 bytes. */
static struct bytes error_of(const struct finished *f, uint32_t status, char *buf)
{
	struct bytes cut = finished_cut(f);

	if (status >= (f->role == ROLE_CLIENT ? 400u : 500u)) {
		buf[0] = (char)('0' + status / 100);
		buf[1] = (char)('0' + status / 10 % 10);
		buf[2] = (char)('0' + status % 10);
		return bytes_of(buf, 3);
	}
	return cut;
}

static void set_version(struct attrs *to, const struct finished *f)
{
	if (f->op->http_version == 10)
		attrs_str(to, ATTR_NETWORK_PROTOCOL_VERSION, BYTES_LITERAL("1.0"), 0);
	else if (f->op->http_version == 11)
		attrs_str(to, ATTR_NETWORK_PROTOCOL_VERSION, BYTES_LITERAL("1.1"), 0);
}

/* Host and port that were asked for: what a proxy says, the target, Host, in this order; else the socket. */
static void set_server(struct assembly *a, struct attrs *to, const struct finished *f, const struct url *url,
		       struct host *ret)
{
	const struct conn *c = f->conn;
	struct host h = { 0 };
	char buf[64];
	bool named;

	named = (f->role == ROLE_SERVER && f->op->forwarded_host.n && host_split(f->op->forwarded_host, &h)) ||
		(url->authority.n && host_split(url->authority, &h)) || (f->op->host.n && host_split(f->op->host, &h));
	if (!named && c) {
		h.name = conn_address(c, f->role == ROLE_CLIENT, buf);
		h.port = f->role == ROLE_CLIENT ? c->tuple.remote_port : c->tuple.local_port;
		if (!h.name.n && c->path)
			h.name = bytes_str(c->path);
	}
	if (!h.name.n)
		return;
	if (!h.port && (named || !c || c->tuple.family != AF_UNIX))
		h.port = bytes_eq(scheme(f), BYTES_LITERAL("https")) ? 443 : 80;
	attrs_str(to, ATTR_SERVER_ADDRESS, h.name, a->cfg.attribute_length_max);
	if (h.port)
		attrs_int(to, ATTR_SERVER_PORT, h.port);
	if (named)
		*ret = h;
}

/* RFC 7239 section 6: an address may be in brackets and have a port; "unknown" and "_hidden" say nothing. */
static struct bytes forwarded_node(struct bytes node)
{
	struct host h;

	if (!node.n || node.p[0] == '_' || bytes_ieq(node, BYTES_LITERAL("unknown")))
		return (struct bytes){ 0 };
	if (node.p[0] != '[' && bytes_find(node, ':') < node.n &&
	    bytes_find(bytes_tail(node, bytes_find(node, ':') + 1), ':') + bytes_find(node, ':') + 1 < node.n)
		return node.n <= 45 ? node : (struct bytes){ 0 }; /* a bare IPv6 address */
	return host_split(node, &h) ? h.name : (struct bytes){ 0 };
}

static void set_peer(struct assembly *a, struct attrs *to, const struct finished *f)
{
	struct bytes client = f->role == ROLE_SERVER ? forwarded_node(f->op->forwarded_for) : (struct bytes){ 0 }, peer;
	char buf[64];

	peer = f->conn ? conn_address(f->conn, true, buf) : (struct bytes){ 0 };
	if (f->role == ROLE_SERVER)
		attrs_str(to, ATTR_CLIENT_ADDRESS, client.n ? client : peer, a->cfg.attribute_length_max);
	if (peer.n) {
		attrs_str(to, ATTR_NETWORK_PEER_ADDRESS, peer, 0);
		attrs_int(to, ATTR_NETWORK_PEER_PORT, f->conn->tuple.remote_port);
	} else if (f->role == ROLE_CLIENT && f->conn && f->conn->path) {
		attrs_str(to, ATTR_NETWORK_PEER_ADDRESS, bytes_str(f->conn->path), 0);
	}
}

static void add_port(struct buf *b, uint16_t port)
{
	char digits[5];
	size_t at = sizeof(digits);

	do
		digits[--at] = (char)('0' + port % 10);
	while (port /= 10);
	buf_char(b, ':');
	buf_add(b, bytes_of(digits + at, sizeof(digits) - at));
}

static void set_url_full(struct assembly *a, struct attrs *to, const struct finished *f, const struct url *url,
			 const struct host *host)
{
	struct bytes scheme_text = url->scheme.n ? url->scheme : scheme(f);
	const struct attr *address;
	struct buf *b = &a->text;
	bool v6;

	buf_reset(b);
	address = attrs_find(to, ATTR_SERVER_ADDRESS);
	if (!address || address->type != ATTR_STRING || (address->s.n && address->s.p[0] == '/'))
		return;
	v6 = bytes_find(address->s, ':') < address->s.n;
	buf_add(b, scheme_text);
	buf_str(b, url->userinfo ? "://REDACTED:REDACTED@" : "://");
	if (v6)
		buf_char(b, '[');
	buf_add(b, address->s);
	if (v6)
		buf_char(b, ']');
	if (host->port && host->port != 80)
		add_port(b, host->port);
	url_redact_path(b, url->path);
	if (url->has_query) {
		buf_char(b, '?');
		url_redact_query(b, url->query);
	}
	if (!b->failed)
		attrs_str(to, ATTR_URL_FULL, buf_bytes(b), a->cfg.attribute_length_max);
}

static void set_target(struct assembly *a, struct attrs *to, const struct finished *f, const struct url *url)
{
	struct buf *b = &a->text;

	buf_reset(b);
	attrs_str(to, ATTR_URL_SCHEME, scheme(f), 0);
	url_redact_path(b, url->path);
	if (!b->failed)
		attrs_str(to, ATTR_URL_PATH, buf_bytes(b), a->cfg.attribute_length_max);
	buf_reset(b);
	url_redact_query(b, url->query);
	if (!b->failed && url->query.n)
		attrs_str(to, ATTR_URL_QUERY, buf_bytes(b), a->cfg.attribute_length_max);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* obs-fold (RFC 9112 section 5.2): line ends in a field value stand for a space. */
static void set_user_agent(struct assembly *a, struct attrs *to, struct bytes value)
{
	struct buf *b = &a->text;

	buf_reset(b);
	while (value.n) {
		size_t word = 0;

		while (word < value.n && !is_blank(value.p[word]))
			word++;
		buf_add(b, bytes_head(value, word));
		if (word < value.n && b->n && b->p[b->n - 1] != ' ')
			buf_char(b, ' ');
		value = bytes_tail(value, word + 1);
	}
	if (b->n && !b->failed)
		attrs_str(to, ATTR_USER_AGENT_ORIGINAL, buf_bytes(b), a->cfg.attribute_length_max);
}

static void set_method(struct attrs *to, const struct method *known)
{
	attrs_str(to, ATTR_HTTP_REQUEST_METHOD, known ? known->name : BYTES_LITERAL("_OTHER"), 0);
}

void http_describe(struct assembly *a, struct span *s, const struct finished *f)
{
	const struct method *method = known_method(f);
	uint32_t status = status_of(f);
	struct host host = { 0 };
	struct url url;
	char code[4];

	url_split(f->op->target, method && method->method == HTTP_CONNECT, &url);
	s->kind = f->role == ROLE_SERVER ? SPAN_SERVER : SPAN_CLIENT;
	span_name(s, method ? method->name : BYTES_LITERAL("HTTP"));
	set_method(&s->attrs, method);
	if (!method && f->op->method.n)
		attrs_str(&s->attrs, ATTR_HTTP_REQUEST_METHOD_ORIGINAL, f->op->method, a->cfg.attribute_length_max);
	if (f->role == ROLE_SERVER)
		set_target(a, &s->attrs, f, &url);
	if (status)
		attrs_int(&s->attrs, ATTR_HTTP_RESPONSE_STATUS_CODE, status);
	set_server(a, &s->attrs, f, &url, &host);
	if (f->role == ROLE_CLIENT) {
		/* The port is written out only when it was given or is the socket's own. */
		if (!host.name.n && f->conn)
			host.port = f->conn->tuple.remote_port;
		set_url_full(a, &s->attrs, f, &url, &host);
	}
	set_peer(a, &s->attrs, f);
	set_version(&s->attrs, f);
	if (f->role == ROLE_SERVER)
		set_user_agent(a, &s->attrs, f->op->user_agent);
	span_error(s, error_of(f, status, code));
}

void http_metric(struct assembly *a, struct attrs *to, const struct finished *f)
{
	uint32_t status = status_of(f);
	struct host host;
	struct url url;
	char code[4];

	set_method(to, known_method(f));
	if (f->role == ROLE_SERVER) {
		attrs_str(to, ATTR_URL_SCHEME, scheme(f), 0);
	} else {
		url_split(f->op->target, f->method == HTTP_CONNECT, &url);
		set_server(a, to, f, &url, &host);
	}
	if (status)
		attrs_int(to, ATTR_HTTP_RESPONSE_STATUS_CODE, status);
	attrs_str(to, ATTR_ERROR_TYPE, error_of(f, status, code), 0);
	set_version(to, f);
}
