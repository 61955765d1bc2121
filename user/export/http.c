/* SPDX-License-Identifier: Apache-2.0 */
#include "export/http.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "export/curl.h"
#include "export/http_headers.h"
#include "util/buf.h"
#include "util/cleanup.h"
#include "util/clock.h"

#define PEM_MAX (4u << 20)
#define BODY_KEPT (64u << 10) /* of a reply; what we want from it is far shorter */
#define POLL_MS 100
#define GZIP_LEVEL 1 /* spans repeat themselves: higher levels save little and cost much */

struct http {
	const struct curl_api *api;
	CURL *easy;
	CURLM *multi;
	struct curl_slist *headers;
	struct buf ca, cert, key; /* PEM; libcurl points into them */
	bool gzip;
	z_stream deflate;
	struct buf compressed;
	struct buf body; /* of the reply */
	size_t received;
	struct http_reply *reply;
};

static int read_pem(const char *path, struct buf *ret)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	for (;;) {
		if (ret->n > PEM_MAX)
			return -EFBIG;
		if (!buf_reserve(ret, 16384))
			return -ENOMEM;
		n = read(fd, ret->p + ret->n, 16384);
		if (n < 0)
			return -errno;
		if (n == 0)
			return ret->n ? 0 : -ENODATA;
		ret->n += (size_t)n;
	}
}

static size_t on_body(char *p, size_t size, size_t n, void *context)
{
	struct http *h = context;

	n *= size;
	h->received += n;
	if (h->received > HTTP_REPLY_MAX) {
		h->reply->too_large = true;
		return 0; /* libcurl ends the transfer */
	}
	if (h->body.n < BODY_KEPT)
		buf_add(&h->body, bytes_head(bytes_of(p, n), BODY_KEPT - h->body.n));
	return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *context)
{
	struct http *h = context;
	struct bytes line = bytes_of(p, n * size), name = BYTES_LITERAL("retry-after:");

	if (bytes_ieq(bytes_head(line, name.n), name)) {
		struct bytes value = bytes_tail(line, name.n);

		while (value.n && (value.p[value.n - 1] == '\r' || value.p[value.n - 1] == '\n'))
			value.n--;
		if (value.n < sizeof(h->reply->retry_after)) {
			memcpy(h->reply->retry_after, value.p, value.n);
			h->reply->retry_after[value.n] = '\0';
		}
	}
	return line.n;
}

static int add_header(void *context, const char *line)
{
	struct http *h = context;
	struct curl_slist *more = h->api->slist_append(h->headers, line);

	if (!more)
		return -ENOMEM;
	h->headers = more;
	return 0;
}

static int set_headers(struct http *h, const struct http_options *o, const char **ret_error)
{
	struct buf line = { 0 };
	int r;

	buf_printf(&line, "Content-Type: %s", o->content_type);
	r = line.failed ? -ENOMEM : add_header(h, line.p);
	buf_free(&line);
	if (r == 0)
		r = add_header(h, "Expect:"); /* or libcurl asks for leave before it sends more than 1 MiB */
	if (r == 0 && o->gzip)
		r = add_header(h, "Content-Encoding: gzip");
	if (r == 0 && o->headers)
		r = http_headers(o->headers, add_header, h);
	if (r < 0)
		*ret_error =
			r == -EINVAL ? "the headers are not a list of name=value, percent-encoded" : "out of memory";
	return r;
}

static struct curl_blob blob(const struct buf *b)
{
	return (struct curl_blob){ .data = b->p, .len = b->n, .flags = CURL_BLOB_NOCOPY };
}

/* Certificates are given to libcurl as memory: it would open the files for each connection, when it may not any more.
 */
static int set_tls(struct http *h, const struct http_options *o, const char **ret_error)
{
	static const char *const bundles[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
					       "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" };
	struct curl_blob b;
	int r = -ENOENT;

	if (o->ca)
		r = read_pem(o->ca, &h->ca);
	for (size_t i = 0; !o->ca && r < 0 && i < sizeof(bundles) / sizeof(bundles[0]); i++) {
		buf_reset(&h->ca);
		r = read_pem(bundles[i], &h->ca);
	}
	if (r < 0) {
		*ret_error = o->ca ? "the CA certificate file cannot be read"
				   : "no CA certificates found: apt-get install ca-certificates";
		return r;
	}
	b = blob(&h->ca);
	h->api->easy_setopt(h->easy, CURLOPT_CAPATH, NULL);
	if (h->api->easy_setopt(h->easy, CURLOPT_CAINFO_BLOB, &b) && o->ca) {
		*ret_error = "libcurl.so.4 is too old for a CA certificate of its own (7.77 is needed)";
		return -ENOTSUP;
	}
	if (!o->client_cert)
		return 0;
	r = read_pem(o->client_cert, &h->cert);
	if (r == 0)
		r = read_pem(o->client_key ? o->client_key : o->client_cert, &h->key);
	if (r < 0) {
		*ret_error = "the client certificate or its key cannot be read";
		return r;
	}
	b = blob(&h->cert);
	h->api->easy_setopt(h->easy, CURLOPT_SSLCERT_BLOB, &b);
	b = blob(&h->key);
	h->api->easy_setopt(h->easy, CURLOPT_SSLKEY_BLOB, &b);
	return 0;
}

/* Name resolution loads its modules at the first name that is not a number: now, while that is possible. */
static void resolve_once(const char *url)
{
	char host[256];
	size_t n;

	url = strstr(url, "://") + 3;
	if (strcspn(url, "@") < strcspn(url, "/"))
		url += strcspn(url, "@") + 1;
	n = strcspn(url, ":/?#");
	if (*url != '[' && n < sizeof(host)) {
		struct addrinfo *list = NULL;

		memcpy(host, url, n);
		host[n] = '\0';
		if (getaddrinfo(host, NULL, NULL, &list) == 0)
			freeaddrinfo(list);
	}
}

static int set_up(struct http *h, const struct http_options *o, const char **ret_error)
{
	bool tls = bytes_ieq(bytes_head(bytes_str(o->url), 8), BYTES_LITERAL("https://"));
	int r;

	if (!tls && !bytes_ieq(bytes_head(bytes_str(o->url), 7), BYTES_LITERAL("http://"))) {
		*ret_error = "the endpoint does not begin with http:// or https://";
		return -EINVAL;
	}
	h->api = curl_load(ret_error);
	if (!h->api)
		return -ENOENT;
	*ret_error = "out of memory";
	h->easy = h->api->easy_init();
	h->multi = h->api->multi_init();
	if (!h->easy || !h->multi)
		return -ENOMEM;
	if (o->gzip && deflateInit2(&h->deflate, GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	h->gzip = o->gzip;
	h->api->multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, 1L);
	if (h->api->easy_setopt(h->easy, CURLOPT_URL, o->url))
		return -ENOMEM;
	h->api->easy_setopt(h->easy, CURLOPT_USERAGENT, o->user_agent);
	h->api->easy_setopt(h->easy, CURLOPT_POST, 1L);
	h->api->easy_setopt(h->easy, CURLOPT_NOSIGNAL, 1L);
	h->api->easy_setopt(h->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	h->api->easy_setopt(h->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	h->api->easy_setopt(h->easy, CURLOPT_WRITEFUNCTION, on_body);
	h->api->easy_setopt(h->easy, CURLOPT_WRITEDATA, h);
	h->api->easy_setopt(h->easy, CURLOPT_HEADERFUNCTION, on_header);
	h->api->easy_setopt(h->easy, CURLOPT_HEADERDATA, h);
	r = set_headers(h, o, ret_error);
	if (r == 0 && tls)
		r = set_tls(h, o, ret_error);
	if (r < 0)
		return r;
	h->api->easy_setopt(h->easy, CURLOPT_HTTPHEADER, h->headers);
	resolve_once(o->url);
	return 0;
}

int http_open(const struct http_options *o, struct http **ret, const char **ret_error)
{
	struct http *h = calloc(1, sizeof(*h));
	const char *error = "out of memory";
	int r = h ? set_up(h, o, &error) : -ENOMEM;

	if (r < 0) {
		http_close(h);
		*ret_error = error;
		return r;
	}
	*ret = h;
	return 0;
}

void http_close(struct http *h)
{
	if (!h)
		return;
	if (h->easy)
		h->api->easy_cleanup(h->easy);
	if (h->multi)
		h->api->multi_cleanup(h->multi);
	if (h->headers)
		h->api->slist_free_all(h->headers);
	if (h->gzip)
		deflateEnd(&h->deflate);
	buf_free(&h->ca);
	buf_free(&h->cert);
	buf_free(&h->key);
	buf_free(&h->compressed);
	buf_free(&h->body);
	free(h);
}

static bool compress_body(struct http *h, struct bytes *body)
{
	buf_reset(&h->compressed);
	if (deflateReset(&h->deflate) != Z_OK || body->n > UINT32_MAX ||
	    !buf_reserve(&h->compressed, deflateBound(&h->deflate, body->n)))
		return false;
	h->deflate.next_in = (Bytef *)(uintptr_t)body->p;
	h->deflate.avail_in = (uInt)body->n;
	h->deflate.next_out = (Bytef *)h->compressed.p;
	h->deflate.avail_out = (uInt)h->compressed.cap;
	if (deflate(&h->deflate, Z_FINISH) != Z_STREAM_END)
		return false;
	*body = bytes_of(h->compressed.p, h->deflate.total_out);
	return true;
}

/* Runs the transfer that was added to the multi handle. The reason it ended, NULL when the reply is complete. */
static const char *transfer(struct http *h, http_deadline_fn *deadline, void *context)
{
	int running = 1, left;

	for (;;) {
		CURLMsg *m;
		uint64_t now, until;

		if (h->api->multi_perform(h->multi, &running))
			return "libcurl failed";
		while ((m = h->api->multi_info_read(h->multi, &left)))
			if (m->msg == CURLMSG_DONE)
				return m->data.result == CURLE_OK ? NULL : h->api->easy_strerror(m->data.result);
		now = clock_monotonic();
		until = deadline(context);
		if (now >= until)
			return "no reply in time";
		until = (until - now) / 1000000 + 1;
		if (h->api->multi_poll(h->multi, NULL, 0, until < POLL_MS ? (int)until : POLL_MS, NULL))
			return "libcurl failed";
	}
}

void http_post(struct http *h, struct bytes body, http_deadline_fn *deadline, void *context, struct http_reply *ret)
{
	long status = 0;

	*ret = (struct http_reply){ 0 };
	h->reply = ret;
	h->received = 0;
	buf_reset(&h->body);
	if (h->gzip && !compress_body(h, &body)) {
		ret->error = "out of memory";
		return;
	}
	h->api->easy_setopt(h->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
	h->api->easy_setopt(h->easy, CURLOPT_POSTFIELDS, body.p ? body.p : "");
	if (h->api->multi_add_handle(h->multi, h->easy)) {
		ret->error = "libcurl failed";
		return;
	}
	ret->error = transfer(h, deadline, context);
	/* A final status line is an answer, even when its body breaks off: asking again could store everything twice.
	 */
	h->api->easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	h->api->multi_remove_handle(h->multi, h->easy);
	if (status >= 200 && status <= 599)
		ret->status = (int)status;
	else if (!ret->error)
		ret->error = "the reply is not HTTP";
	ret->body = buf_bytes(&h->body);
	h->reply = NULL;
}
