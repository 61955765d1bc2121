/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of spans, metrics and resources, and the text memory that holds their values. Keys are static strings
 * (the ATTR_* names). Names follow OpenTelemetry semantic conventions 1.45.0; SCHEMA_URL says so in everything sent.
 */
#ifndef SONDE_MODEL_ATTR_H
#define SONDE_MODEL_ATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "util/bytes.h"

#define SCHEMA_URL "https://opentelemetry.io/schemas/1.45.0"

/* clang-format off */
#define ATTR_HTTP_REQUEST_METHOD "http.request.method"
#define ATTR_HTTP_REQUEST_METHOD_ORIGINAL "http.request.method_original"
#define ATTR_HTTP_RESPONSE_STATUS_CODE "http.response.status_code"
#define ATTR_HTTP_ROUTE "http.route"
#define ATTR_URL_FULL "url.full"
#define ATTR_URL_SCHEME "url.scheme"
#define ATTR_URL_PATH "url.path"
#define ATTR_URL_QUERY "url.query"
#define ATTR_ERROR_TYPE "error.type"
#define ATTR_SERVER_ADDRESS "server.address"
#define ATTR_SERVER_PORT "server.port"
#define ATTR_CLIENT_ADDRESS "client.address"
#define ATTR_NETWORK_PEER_ADDRESS "network.peer.address"
#define ATTR_NETWORK_PEER_PORT "network.peer.port"
#define ATTR_NETWORK_PROTOCOL_VERSION "network.protocol.version"
#define ATTR_NETWORK_TRANSPORT "network.transport"
#define ATTR_USER_AGENT_ORIGINAL "user_agent.original"
#define ATTR_DB_SYSTEM_NAME "db.system.name"
#define ATTR_DB_NAMESPACE "db.namespace"
#define ATTR_DB_QUERY_SUMMARY "db.query.summary"
#define ATTR_DB_QUERY_TEXT "db.query.text"
#define ATTR_DB_OPERATION_NAME "db.operation.name"
#define ATTR_DB_RESPONSE_STATUS_CODE "db.response.status_code"
#define ATTR_DB_RESPONSE_RETURNED_ROWS "db.response.returned_rows"
#define ATTR_DB_CLIENT_CONNECTION_POOL_NAME "db.client.connection.pool.name"
#define ATTR_DB_CLIENT_CONNECTION_STATE "db.client.connection.state"
#define ATTR_SERVER_SERVICE_NAME "server.service.name"
#define ATTR_PEER_SERVICE "peer.service"
#define ATTR_THREAD_ID "thread.id"
#define ATTR_OTEL_METRIC_OVERFLOW "otel.metric.overflow"
/* Ours: no convention exists. */
#define ATTR_SONDE_SOURCE "sonde.source"           /* "libpq": seen at the library, the wire was encrypted */
#define ATTR_SONDE_END "sonde.end"                 /* how the end was found, when it was not the protocol's framing */
#define ATTR_SONDE_DB_ROWS_AFFECTED "sonde.db.affected_rows"
#define ATTR_SONDE_CONNECTION_PHASE "sonde.connection.phase"                  /* tcp, tls, auth */
#define ATTR_SONDE_DB_APPLICATION_NAME "sonde.db.application_name"             /* as the connection was opened with */
#define ATTR_SONDE_DB_CANCEL_REQUESTED "sonde.db.cancel_requested"             /* a CancelRequest named its connection */
#define ATTR_SONDE_DB_CONNECT_DURATION "sonde.db.connect.duration"             /* s, on a connection's first statement */
#define ATTR_SONDE_DB_TIME_TO_FIRST_ROW "sonde.db.response.time_to_first_row"  /* s */
#define ATTR_SONDE_DB_COPY_BYTES "sonde.db.copy.bytes"
#define ATTR_SONDE_DB_TRANSACTION_OUTCOME "sonde.db.transaction.outcome" /* "commit", "rollback" */
/* of the statement that ended it */
#define ATTR_SONDE_DB_TRANSACTION_DURATION "sonde.db.transaction.duration"
#define ATTR_SONDE_DB_TRANSACTION_IDLE_TIME "sonde.db.transaction.idle_time"
#define ATTR_SONDE_DB_TRANSACTION_STATEMENTS "sonde.db.transaction.statements"
#define ATTR_REASON "reason"
/* clang-format on */

enum attr_type { ATTR_STRING = 1, ATTR_INT, ATTR_DOUBLE, ATTR_BOOL };

struct attr {
	const char *key; /* static, or as long-lived as the owner's text memory */
	uint32_t key_n;	 /* its length */
	enum attr_type type;
	union {
		struct bytes s; /* UTF-8, in the owner's text memory, and NUL-terminated */
		int64_t i;
		double d;
		bool b;
	};
};

/* A list of attributes with the memory of their strings. Zeroed is empty. Keys are unique: setting one again replaces.
 */
struct attrs {
	struct attr *v;
	uint16_t n, cap;
	uint32_t dropped; /* not kept: over the count limit, or no memory */
	uint64_t bits;	  /* attr_key.bit of all keys that were ever set: a new bit is a new key, without a search */
	struct text_block *text;
};

#define ATTRS_MAX 128

/* A key as it is looked for: of a literal, all of it is known to the compiler. */
struct attr_key {
	const char *p;
	uint32_t n, bit; /* bit: 0 to 63, by length and two characters; any factor does, this one tells most of ours
			    apart */
};

static inline struct attr_key attr_key(const char *key)
{
	uint32_t n = (uint32_t)strlen(key), last = n ? (uint8_t)key[n - 1] : 0, middle = (uint8_t)key[n / 2];

	return (struct attr_key){ key, n, ((n << 16 | last << 8 | middle) * 0x12093d27u) >> 26 };
}

void attrs_put_str(struct attrs *a, struct attr_key key, struct bytes value, size_t max);
struct attr *attrs_put(struct attrs *a, struct attr_key key); /* the one to write to; NULL: dropped */
const struct attr *attrs_get(const struct attrs *a, struct attr_key key);

void attrs_free(struct attrs *a);

/* Copies value, made valid UTF-8 (bad bytes become U+FFFD) and cut to max characters (0 = no limit). Empty: not set. */
static inline void attrs_str(struct attrs *a, const char *key, struct bytes value, size_t max)
{
	attrs_put_str(a, attr_key(key), value, max);
}

static inline void attrs_int(struct attrs *a, const char *key, int64_t value)
{
	struct attr *at = attrs_put(a, attr_key(key));

	if (!at)
		return;
	at->type = ATTR_INT;
	at->i = value;
}

static inline const struct attr *attrs_find(const struct attrs *a, const char *key)
{
	struct attr_key k = attr_key(key);

	return a->bits >> k.bit & 1 ? attrs_get(a, k) : NULL;
}

void attrs_double(struct attrs *a, const char *key, double value);
void attrs_bool(struct attrs *a, const char *key, bool value);
/* As attrs_str, for a key that is not static: the key is copied too. */
void attrs_str_copy_key(struct attrs *a, struct bytes key, struct bytes value, size_t max);
/* Copies bytes into the owner's text memory, NUL-terminated; p is NULL when there is no memory. */
struct bytes attrs_text(struct attrs *a, struct bytes s);

#endif
