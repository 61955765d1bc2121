/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SONDE_EXPORT_HTTP_HEADERS_H
#define SONDE_EXPORT_HTTP_HEADERS_H

#include "util/buf.h"

/* Called with each "Name: value" (NUL-terminated), as libcurl takes it. Negative errno ends the walk. */
typedef int http_header_fn(void *context, const char *line);

/*
 * Splits "k=v,k2=v2" (OTEL_EXPORTER_OTLP_HEADERS): at commas, then at the first '='; white space around both is
 * removed and %XX decoded. -EINVAL when a name is not a token (RFC 9110, 5.6.2) or a value holds a control character.
 */
int http_headers(const char *list, http_header_fn *header, void *context);

/*
 * Nanoseconds to wait by a Retry-After value: seconds, or one of the HTTP-date forms (RFC 9110, 10.2.3), with now in
 * seconds since the Unix epoch. 0 when there is none, it cannot be read, or it is over; never more than an hour.
 */
uint64_t http_retry_after(const char *value, int64_t now);

#endif
