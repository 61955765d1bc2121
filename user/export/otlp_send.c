/* SPDX-License-Identifier: Apache-2.0 */
#include "export/otlp_send.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "export/http.h"
#include "export/http_headers.h"
#include "export/text.h"
#include "opentelemetry/proto/collector/trace/v1/trace_service.pb-c.h"

typedef Opentelemetry__Proto__Collector__Trace__V1__ExportTraceServiceResponse OtlpResponse;

#define REQUEST_MAX (64u << 20) /* OTLP specification: a client does not send more */
#define MESSAGE_COLUMNS 160	/* of what a backend says, in ours */
#define VARINT_MAX 10

enum mood { MOOD_UNKNOWN, MOOD_WELL, MOOD_SILENT, MOOD_BUSY, MOOD_REFUSING };

struct otlp_sender {
	struct http *http;
	char *shown; /* the URL without what is secret */
	pthread_mutex_t lock;
	enum mood mood;
	bool fresh; /* message was not read yet */
	char message[512];
};

/* Without "user:password@", and without a query, where keys are put by some. */
static char *shown_url(const char *url)
{
	const char *host = strstr(url, "://"), *at;
	char *out = NULL;
	size_t n;

	if (!host)
		return strdup("the endpoint");
	host += 3;
	n = strcspn(host, "/?#");
	at = memrchr(host, '@', n);
	if (at)
		host = at + 1;
	if (asprintf(&out, "%.*s%.*s", (int)(strstr(url, "://") + 3 - url), url, (int)strcspn(host, "?#"), host) < 0)
		return NULL;
	return out;
}

int otlp_sender_open(const struct otlp_signal *signal, const char *version, struct otlp_sender **ret,
		     const char **ret_error)
{
	struct otlp_sender *s = calloc(1, sizeof(*s));
	char agent[128];
	struct http_options o = {
		.url = signal->endpoint,
		.headers = signal->headers,
		.user_agent = agent,
		.content_type = "application/x-protobuf",
		.gzip = signal->gzip,
		.ca = signal->ca,
		.client_cert = signal->client_cert,
		.client_key = signal->client_key,
	};
	int r = -ENOMEM;

	*ret_error = "out of memory";
	if (!s)
		return r;
	pthread_mutex_init(&s->lock, NULL);
	snprintf(agent, sizeof(agent), "sonde/%s OTel-OTLP-Exporter-C/%s", version, version);
	s->shown = shown_url(signal->endpoint);
	if (s->shown)
		r = http_open(&o, &s->http, ret_error);
	if (r < 0) {
		otlp_sender_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

void otlp_sender_close(struct otlp_sender *s)
{
	if (!s)
		return;
	http_close(s->http);
	pthread_mutex_destroy(&s->lock);
	free(s->shown);
	free(s);
}

/* Tells of a change of mood once; refusals each time, for each is a loss. */
static void __attribute__((format(printf, 3, 4))) tell(struct otlp_sender *s, enum mood mood, const char *format, ...)
{
	va_list args;

	pthread_mutex_lock(&s->lock);
	if (mood != s->mood || mood == MOOD_REFUSING) {
		s->fresh = !(s->mood == MOOD_UNKNOWN && mood == MOOD_WELL);
		s->mood = mood;
		va_start(args, format);
		vsnprintf(s->message, sizeof(s->message), format, args);
		va_end(args);
	}
	pthread_mutex_unlock(&s->lock);
}

bool otlp_sender_trouble(struct otlp_sender *s, char *ret, size_t size)
{
	bool fresh;

	pthread_mutex_lock(&s->lock);
	fresh = s->fresh;
	if (fresh)
		snprintf(ret, size, "%s", s->message);
	s->fresh = false;
	pthread_mutex_unlock(&s->lock);
	return fresh;
}

static bool get_varint(struct bytes *in, uint64_t *ret)
{
	struct bytes at = *in;
	uint64_t v = 0;
	uint8_t b;

	for (unsigned i = 0; i < VARINT_MAX; i++) {
		if (!bytes_get_u8(&at, &b))
			return false;
		v |= (uint64_t)(b & 0x7f) << (7 * i);
		if (!(b & 0x80)) {
			*in = at;
			*ret = v;
			return true;
		}
	}
	return false;
}

/* google.rpc.Status.message (field 2); the body itself when it is something else: proxies answer in HTML. */
static struct bytes status_message(struct bytes body)
{
	struct bytes at = body, message = { NULL, 0 };
	uint64_t tag, n;

	while (at.n) {
		if (!get_varint(&at, &tag) || !get_varint(&at, &n) || (tag & 5))
			return body; /* it has integers and byte strings only */
		if ((tag & 7) == 0)
			continue;
		if (n > at.n)
			return body;
		if (tag >> 3 == 2)
			message = bytes_head(at, n);
		at = bytes_tail(at, n);
	}
	return message.n ? message : body;
}

static struct buf readable(struct bytes message)
{
	struct buf out = { 0 };

	if (message.n)
		buf_str(&out, ": ");
	text_clean(&out, message, MESSAGE_COLUMNS, true);
	if (out.failed || !out.n)
		buf_free(&out);
	return out;
}

/* Export{Trace,Metrics}ServiceResponse are alike on the wire. What cannot be read is taken for full success. */
static void judge_accepted(struct otlp_sender *s, const struct http_reply *reply, size_t n, const char *what,
			   struct send_verdict *ret)
{
	OtlpResponse *r = opentelemetry__proto__collector__trace__v1__export_trace_service_response__unpack(
		NULL, reply->body.n, (const uint8_t *)reply->body.p);
	struct buf text = { 0 };

	ret->result = SEND_ACCEPTED;
	if (r && r->partial_success) {
		int64_t rejected = r->partial_success->rejected_spans;

		ret->rejected = rejected < 0 ? 0 : (uint64_t)rejected < n ? (uint64_t)rejected : n;
		text = readable(bytes_str(r->partial_success->error_message));
	}
	if (ret->rejected)
		tell(s, MOOD_REFUSING, "%s refused %llu of %zu %s%s", s->shown, (unsigned long long)ret->rejected, n,
		     what, text.n ? text.p : "");
	else if (text.n)
		tell(s, MOOD_REFUSING, "%s took all %s, with a warning%s", s->shown, what, text.p);
	else
		tell(s, MOOD_WELL, "%s answers again", s->shown);
	buf_free(&text);
	if (r)
		opentelemetry__proto__collector__trace__v1__export_trace_service_response__free_unpacked(r, NULL);
}

static void judge(struct otlp_sender *s, const struct http_reply *reply, size_t n, const char *what,
		  struct send_verdict *ret)
{
	struct buf text;

	if (reply->too_large) {
		ret->result = SEND_REFUSED;
		tell(s, MOOD_REFUSING, "%s sent a reply without end; whether it took %zu %s is not known", s->shown, n,
		     what);
		return;
	}
	if (reply->status == 0) {
		ret->result = SEND_RETRY;
		ret->silent = true;
		tell(s, MOOD_SILENT, "cannot reach %s: %s; %s wait and are sent again", s->shown, reply->error, what);
		return;
	}
	if (reply->status >= 200 && reply->status <= 299) {
		judge_accepted(s, reply, n, what, ret);
		return;
	}
	text = readable(status_message(reply->body));
	switch (reply->status) {
	case 429:
	case 502:
	case 503:
	case 504:
		ret->result = SEND_RETRY;
		ret->wait = http_retry_after(reply->retry_after, (int64_t)time(NULL));
		tell(s, MOOD_BUSY, "%s is not ready (HTTP %d%s); %s wait and are sent again", s->shown, reply->status,
		     text.n ? text.p : "", what);
		break;
	default:
		ret->result = SEND_REFUSED;
		tell(s, MOOD_REFUSING, "%s refused %zu %s (HTTP %d%s)", s->shown, n, what, reply->status,
		     text.n ? text.p : "");
		break;
	}
	buf_free(&text);
}

void otlp_post(struct otlp_sender *s, struct bytes body, size_t n, const char *what,
	       const struct send_deadline *deadline, struct send_verdict *ret)
{
	struct http_reply reply;

	*ret = (struct send_verdict){ 0 };
	if (body.n > REQUEST_MAX) {
		ret->result = SEND_REFUSED;
		tell(s, MOOD_REFUSING, "%zu %s in one request of more than 64 MiB were not sent", n, what);
		return;
	}
	http_post(s->http, body, deadline->at, deadline->context, &reply);
	judge(s, &reply, n, what, ret);
}
