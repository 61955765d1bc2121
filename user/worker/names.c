/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/names.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/buf.h"
#include "util/cleanup.h"

/* One record: this, then for each attribute struct name_attr, the key and, of strings, the value. */
struct name_head {
	uint32_t size; /* of the record */
	uint16_t metric, attrs_n;
	struct hist_key key;
	uint32_t ignore;
	uint32_t pad;
};

struct name_attr {
	uint16_t type, key_len;
	uint32_t value_len;
	int64_t number;
};

static void add(struct buf *b, const void *p, size_t n)
{
	buf_add(b, bytes_of(p, n));
}

int names_write(int fd, const struct name *n)
{
	struct name_head head = {
		.metric = (uint16_t)n->metric, .attrs_n = (uint16_t)n->attrs.n, .key = n->key, .ignore = n->ignore
	};
	_cleanup_(buf_free) struct buf b = { 0 };
	struct stat st;

	if (fd < 0)
		return 0;
	add(&b, &head, sizeof(head));
	for (uint32_t i = 0; i < n->attrs.n; i++) {
		const struct attr *a = &n->attrs.v[i];
		struct name_attr v = { .type = (uint16_t)a->type, .key_len = (uint16_t)strlen(a->key) };

		if (a->type == ATTR_STRING)
			v.value_len = (uint32_t)a->s.n;
		else if (a->type == ATTR_BOOL)
			v.number = a->b;
		else
			v.number = a->i; /* a double shares its bytes */
		add(&b, &v, sizeof(v));
		add(&b, a->key, v.key_len);
		if (a->type == ATTR_STRING)
			buf_add(&b, a->s);
	}
	if (b.failed || fstat(fd, &st))
		return -ENOMEM;
	if ((uint64_t)st.st_size + b.n > NAMES_BYTES_MAX)
		return -EFBIG;
	((struct name_head *)(void *)b.p)->size = (uint32_t)b.n;
	return pwrite(fd, b.p, b.n, st.st_size) == (ssize_t)b.n ? 0 : -EIO;
}

/* Keys are static strings: the one that is meant, or NULL for one that no metric has. */
static const char *known_key(struct bytes key)
{
	static const char *const keys[] = {
		ATTR_HTTP_REQUEST_METHOD,
		ATTR_HTTP_RESPONSE_STATUS_CODE,
		ATTR_URL_SCHEME,
		ATTR_ERROR_TYPE,
		ATTR_SERVER_ADDRESS,
		ATTR_SERVER_PORT,
		ATTR_DB_SYSTEM_NAME,
		ATTR_DB_NAMESPACE,
		ATTR_DB_QUERY_SUMMARY,
		ATTR_DB_OPERATION_NAME,
		ATTR_DB_RESPONSE_STATUS_CODE,
		ATTR_NETWORK_PROTOCOL_VERSION,
		ATTR_OTEL_METRIC_OVERFLOW,
		ATTR_NETWORK_PEER_ADDRESS,
		ATTR_NETWORK_PEER_PORT,
		ATTR_SONDE_DB_TRANSACTION_OUTCOME,
	};

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (bytes_eq(key, bytes_str(keys[i])))
			return keys[i];
	return NULL;
}

static bool read_attr(struct bytes *rest, struct attrs *to)
{
	struct bytes key, value, raw;
	struct name_attr v;
	const char *name;

	if (!bytes_get(rest, sizeof(v), &raw))
		return false;
	memcpy(&v, raw.p, sizeof(v));
	if (!bytes_get(rest, v.key_len, &key) || !bytes_get(rest, v.value_len, &value))
		return false;
	name = known_key(key);
	if (!name)
		return false;
	if (v.type == ATTR_STRING)
		attrs_str(to, name, value, 0);
	else if (v.type == ATTR_INT)
		attrs_int(to, name, v.number);
	else if (v.type == ATTR_BOOL)
		attrs_bool(to, name, v.number != 0);
	else
		return false;
	return true;
}

static bool read_name(struct bytes *rest, struct name *ret)
{
	struct name n = { 0 };
	struct name_head head;
	struct bytes record, raw;

	if (rest->n < sizeof(head))
		return false;
	memcpy(&head, rest->p, sizeof(head));
	if (head.size < sizeof(head) || head.metric >= METRIC_COUNT || !bytes_get(rest, head.size, &record) ||
	    !bytes_get(&record, sizeof(head), &raw))
		return false;
	n.key = head.key;
	n.metric = (enum metric_id)head.metric;
	n.ignore = head.ignore != 0;
	for (unsigned i = 0; i < head.attrs_n; i++) {
		if (read_attr(&record, &n.attrs))
			continue;
		attrs_free(&n.attrs);
		return false;
	}
	*ret = n;
	return true;
}

void names_read(int fd, void (*fn)(void *context, struct name *n), void *context)
{
	_cleanup_(buf_free) struct buf b = { 0 };
	struct bytes rest;
	struct stat st;
	struct name n;
	ssize_t got;

	if (fd < 0 || fstat(fd, &st) || st.st_size <= 0 || st.st_size > NAMES_BYTES_MAX ||
	    !buf_reserve(&b, (size_t)st.st_size))
		return;
	got = pread(fd, b.p, (size_t)st.st_size, 0);
	rest = bytes_of(b.p, got > 0 ? (size_t)got : 0);
	while (read_name(&rest, &n))
		fn(context, &n);
}
