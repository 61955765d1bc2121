/* SPDX-License-Identifier: Apache-2.0 */
/* One OTLP/HTTP endpoint: posts requests, judges replies (OTLP specification, "OTLP/HTTP Response"). */
#ifndef SONDE_EXPORT_OTLP_SEND_H
#define SONDE_EXPORT_OTLP_SEND_H

#include <stdbool.h>
#include <stddef.h>

#include "export/exporter.h"
#include "export/retry.h"
#include "util/bytes.h"

struct otlp_sender;

/* Negative errno and a static *ret_error on failure. */
int otlp_sender_open(const struct otlp_signal *signal, const char *version, struct otlp_sender **ret,
		     const char **ret_error);
void otlp_sender_close(struct otlp_sender *s); /* NULL is allowed */
/* Posts one request of n items, called what ("spans") in messages. */
void otlp_post(struct otlp_sender *s, struct bytes body, size_t n, const char *what,
	       const struct send_deadline *deadline, struct send_verdict *ret);
/* As struct exporter.trouble. May be called from another thread. */
bool otlp_sender_trouble(struct otlp_sender *s, char *ret, size_t size);

#endif
