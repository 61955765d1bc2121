/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a YAML file: mistakes or a configuration, within its limits; and as the values of variables and flags.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/options.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_line(void *context, const char *line)
{
	++*(int *)context;
	for (; *line; line++)
		if ((unsigned char)*line < 0x20 || *line == 0x7f)
			abort(); /* one line, and nothing a terminal would obey */
}

/* Whatever was in the file, what comes out is in the limits of the table and owned once. */
static void check_config(struct config *c)
{
	static const uint16_t ports[] = { 80, 8080 };
	static const struct config_target t = {
		.executable = BYTES_LITERAL("/usr/bin/python3"),
		.command = BYTES_LITERAL("python3 -m x"),
		.container_id = BYTES_LITERAL("0123456789abcdef"),
		.pid = 1,
		.ports = ports,
		.ports_n = 2,
	};
	const char *service;
	int said = 0;

	if (config_finish(c, check_line, &said) != said)
		abort();
	if (c->ring_bytes & (c->ring_bytes - 1) || c->ring_bytes < 1 << 18 || c->max_conns < 256 || c->max_keys < 64 ||
	    c->sampler_ratio < 0 || c->sampler_ratio > 1 || c->batch_spans > c->queue_spans || !c->batch_spans)
		abort();
	if (c->traces.endpoint && strncasecmp(c->traces.endpoint, "http", 4) != 0)
		abort();
	if (!config_selects(c, &t, &service) && service)
		abort();
}

static void as_yaml(struct bytes in)
{
	struct config *c = config_new();
	int said = 0, r;

	if (!c)
		abort();
	r = config_load_yaml_bytes(c, "f", in, check_line, &said);
	if (r != said)
		abort();
	check_config(c);
	config_free(c);
}

/* The first byte chooses the option. */
static void as_value(struct bytes in)
{
	struct config *c = config_new();
	char expect[EXPECT_MAX], got[96];
	const struct option *o;

	if (!c)
		abort();
	o = &options[(unsigned char)in.p[0] % options_n];
	for (enum option_source s = SOURCE_YAML; s <= SOURCE_FLAG; s++) {
		if (option_set(config_state(c), o, s, bytes_tail(in, 1), NULL) == 0)
			continue;
		option_expect(o, s, expect, sizeof(expect));
		option_got(o, bytes_tail(in, 1), got, sizeof(got));
	}
	check_config(c);
	config_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct bytes in = bytes_of(data, n);

	as_yaml(in);
	if (n)
		as_value(in);
	return 0;
}
