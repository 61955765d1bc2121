/* SPDX-License-Identifier: Apache-2.0 */
/* What the OTLP settings are made of: endpoints and lists of pairs. OpenTelemetry specification, protocol/exporter.md.
 */
#ifndef SONDE_CONFIG_URL_H
#define SONDE_CONFIG_URL_H

#include "util/bytes.h"

/* A URL that is used as it is; "/" is added when it has no path. -EINVAL: no http(s) URL, or -ENOMEM. Caller frees. */
int url_as_is(struct bytes url, char **ret);
/* The base with suffix behind its path, a query kept behind that. Errors and ownership as above. */
int url_join(struct bytes base, const char *suffix, char **ret);
/*
 * "k=v,k2=v2", split at the first '='. Headers: names are HTTP tokens (RFC 9110 5.6.2) and decoded values hold no
 * control character, so that nobody smuggles a line end. Percent-encoding must be right in both.
 */
bool pairs_valid(struct bytes text, bool headers);

#endif
