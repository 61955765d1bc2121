/* SPDX-License-Identifier: Apache-2.0 */
#include "decode/decode.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "frame/protocols.h"

static bool terminated(const char *s, size_t n)
{
	return memchr(s, '\0', n) != NULL;
}

static bool check_exchange(const void *p, size_t room)
{
	const struct event_exchange *e = p;
	size_t head = (size_t)e->request_len + e->answer_len;
	size_t behind = event_has_transaction(e) ? sizeof(struct event_transaction) : 0;
	struct libpq_result result;

	if (head + e->tail_len + behind > room || e->role > ROLE_SERVER || e->source > SOURCE_LIBPQ || e->id == 0)
		return false;
	if (e->source != SOURCE_LIBPQ)
		return true;
	if (e->answer_len || (e->tail_len && e->tail_len != sizeof(result)))
		return false;
	if (!e->tail_len)
		return true;
	memcpy(&result, e->data + head, sizeof(result)); /* need not be aligned in there */
	return terminated(result.tag, sizeof(result.tag)) && terminated(result.sqlstate, sizeof(result.sqlstate));
}

static bool check_fragment(const void *p, size_t room)
{
	const struct event_fragment *e = p;

	return e->len <= room && e->len <= EVENT_FRAGMENT_MAX && e->offset <= UINT32_MAX - e->len;
}

static bool check_stream(const void *p, size_t room)
{
	const struct event_stream *e = p;

	return e->len <= room && e->total >= e->len && e->position + e->total >= e->position &&
	       e->dir <= STREAM_ANSWER && e->role <= ROLE_SERVER;
}

static bool check_connection(const void *p, size_t room)
{
	const struct event_connection *e = p;

	(void)room;
	return e->header.conn && e->role <= ROLE_SERVER && terminated(e->path, sizeof(e->path)) &&
	       (e->family == AF_INET || e->family == AF_INET6 || e->family == AF_UNIX);
}

static bool check_process(const void *p, size_t room)
{
	const struct event_process *e = p;

	return (size_t)e->args_len + e->env_len <= room && e->what >= PROCESS_EXEC && e->what <= PROCESS_SEEN &&
	       e->header.tgid && terminated(e->comm, sizeof(e->comm));
}

static bool check_close(const void *p, size_t room)
{
	const struct event_close *e = p;

	(void)room;
	return e->header.conn != 0;
}

static bool check_connect_failed(const void *p, size_t room)
{
	const struct event_connect_failed *e = p;

	(void)room;
	return e->header.tgid && (e->family == AF_INET || e->family == AF_INET6) && e->end >= e->start;
}

static bool check_state(const void *p, size_t room)
{
	const struct event_state *e = p;

	(void)room;
	return e->header.conn && e->used <= 1;
}

static bool check_parent(const void *p, size_t room)
{
	const struct event_parent *e = p;

	(void)room;
	return parent_is_late(e->late);
}

static bool check_libpq_conn(const void *p, size_t room)
{
	const struct event_libpq_conn *e = p;

	if (e->len > room || e->failed > 1 || (e->end && e->end < e->start))
		return false;
	return e->form <= LIBPQ_CONN_STRING || (e->form <= LIBPQ_CONN_GONE && !e->len);
}

static bool check_operation(const void *p, size_t room)
{
	const struct event_operation *e = p;

	return e->len <= room && e->source <= SOURCE_LIBPQ && e->key.role <= ROLE_SERVER;
}

/* Room: bytes behind the fixed struct. */
static const struct {
	size_t fixed;
	bool (*check)(const void *p, size_t room);
} kinds[] = {
	[EVENT_CONNECTION] = { sizeof(struct event_connection), check_connection },
	[EVENT_FRAGMENT] = { sizeof(struct event_fragment), check_fragment },
	[EVENT_EXCHANGE] = { sizeof(struct event_exchange), check_exchange },
	[EVENT_STREAM] = { sizeof(struct event_stream), check_stream },
	[EVENT_PROCESS] = { sizeof(struct event_process), check_process },
	[EVENT_OPERATION] = { sizeof(struct event_operation), check_operation },
	[EVENT_CLOSE] = { sizeof(struct event_close), check_close },
	[EVENT_LIBPQ_CONN] = { sizeof(struct event_libpq_conn), check_libpq_conn },
	[EVENT_CONNECT_FAILED] = { sizeof(struct event_connect_failed), check_connect_failed },
	[EVENT_STATE] = { sizeof(struct event_state), check_state },
	[EVENT_PARENT] = { sizeof(struct event_parent), check_parent },
};

int decode_event(const void *data, size_t size, const struct event_header **ret)
{
	const struct event_header *h = data;

	if (size < sizeof(*h) || (uintptr_t)data % 8 || h->size < sizeof(*h) || h->size > size)
		return -EBADMSG;
	if (h->version != EVENT_VERSION || h->kind >= sizeof(kinds) / sizeof(kinds[0]) || !kinds[h->kind].check)
		return -EPROTO;
	if (h->size < kinds[h->kind].fixed || !kinds[h->kind].check(data, h->size - kinds[h->kind].fixed))
		return -EBADMSG;
	*ret = h;
	return 0;
}

bool decode_is_span(const void *data, size_t size)
{
	struct event_exchange e;

	if (size < sizeof(e))
		return false;
	memcpy(&e, data, sizeof(e)); /* its place need not be aligned, for one */
	return e.header.kind == EVENT_EXCHANGE && e.reason != END_STREAM && frame_counts(e.proto, e.method);
}
