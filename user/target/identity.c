/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Later settings replace earlier ones, so the order is: what the agent was told, what the target says of itself, then
 * what was seen and cannot be otherwise. Of a target's environment and arguments nothing goes out but the two OTEL_*
 * variables that were made for it and names that passed name_checked(): the rest may hold secrets.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "target/identity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "target/application.h"
#include "target/cgroup.h"
#include "target/environment.h"
#include "target/names.h"
#include "target/uuid5.h"

#define SERVICE_NAME_MAX 255
#define PATH_LENGTH_MAX 1024

#if defined(__x86_64__)
#define HOST_ARCH "amd64"
#elif defined(__aarch64__)
#define HOST_ARCH "arm64"
#else
#error "host.arch of this architecture is not known"
#endif

/* The namespace that the semantic conventions give for service.instance.id. */
static const uint8_t instance_space[16] = { 0x4d, 0x63, 0x00, 0x9a, 0x8d, 0x0f, 0x11, 0xee,
					    0xaa, 0xd7, 0x4c, 0x79, 0x6e, 0xd8, 0xe3, 0x20 };

/* Seen by us, whatever the target says. */
static bool is_observed(struct bytes key)
{
	return bytes_starts(key, BYTES_LITERAL("process.")) || bytes_starts(key, BYTES_LITERAL("telemetry.")) ||
	       bytes_eq(key, BYTES_LITERAL("os.type"));
}

static bool target_may_say(struct bytes key)
{
	return !is_observed(key) && !bytes_eq(key, BYTES_LITERAL("service.name")); /* set already, in its place */
}

/* The agent's own attributes describe where it runs (deployment, host, cluster), not which process or pod it is. */
static bool agent_may_say(struct bytes key)
{
	static const char *const own[] = { "service.", "container.", "k8s.pod.", "k8s.container." };

	if (is_observed(key))
		return false;
	if (bytes_eq(key, BYTES_LITERAL("service.namespace")))
		return true;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (bytes_starts(key, bytes_str(own[i])))
			return false;
	return true;
}

static bool is_service_name(struct bytes key)
{
	return bytes_eq(key, BYTES_LITERAL("service.name"));
}

static struct bytes executable(const struct identity_input *in)
{
	return name_without(in->exe, " (deleted)");
}

static void set_service_name(const struct identity_input *in, struct attrs *to)
{
	struct application_input application = {
		.exe = in->exe,
		.args = in->args,
		.env = in->env,
		.cwd = in->cwd,
	};
	char unit[UNIT_MAX];
	struct bytes name = in->service;

	if (!name.n)
		name = environment_get(in->env, "OTEL_SERVICE_NAME");
	if (!name.n) {
		environment_attributes(environment_get(in->env, "OTEL_RESOURCE_ATTRIBUTES"), is_service_name, to);
		if (attrs_find(to, "service.name"))
			return;
		name = cgroup_unit(in->cgroup, unit);
	}
	if (!name.n)
		name = application_name(&application);
	if (!name.n)
		name = path_base(in->exe);
	if (!name.n)
		name = in->comm;
	attrs_str(to, "service.name", name.n ? name : BYTES_LITERAL("unknown_service"), SERVICE_NAME_MAX);
}

static void set_if_missing(struct attrs *to, const char *key, struct bytes value)
{
	if (!attrs_find(to, key))
		attrs_str(to, key, value, PATH_LENGTH_MAX);
}

/* RFC 9562 version 5 of what tells one process from all others: host, container, pid in it, start. */
static void set_instance(const struct identity_input *in, struct attrs *to)
{
	struct bytes container = identity_container(in->cgroup);
	char name[512], text[UUID_TEXT];
	int n = snprintf(name, sizeof(name), "%.*s/%.*s/%" PRIu32 "/%" PRIu64, (int)bytes_head(in->host_id, 256).n,
			 in->host_id.n ? in->host_id.p : "", (int)container.n, container.n ? container.p : "", in->pid,
			 in->start / 10000000); /* as /proc tells it: the same from both sources */

	uuid5(instance_space, bytes_of(name, (size_t)n), text);
	set_if_missing(to, "service.instance.id", bytes_str(text));
}

static void set_creation_time(uint64_t unix_ns, struct attrs *to)
{
	time_t seconds = (time_t)(unix_ns / 1000000000);
	char text[32], whole[48];
	struct tm tm;

	if (!unix_ns || !gmtime_r(&seconds, &tm) || !strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm))
		return;
	snprintf(whole, sizeof(whole), "%s.%03uZ", text, (unsigned int)(unix_ns / 1000000 % 1000));
	attrs_str(to, "process.creation.time", bytes_str(whole), 0);
}

/* The first argument, when it is a plain path or name: processes write titles there, with who knows what in them. */
static struct bytes command(struct bytes args)
{
	struct bytes first = bytes_head(args, bytes_find(args, '\0')), rest = first;

	while (rest.n) {
		size_t n = bytes_find(rest, '/');

		if (n && !name_is_plain(bytes_head(rest, n)))
			return (struct bytes){ NULL, 0 };
		rest = bytes_tail(rest, n + 1);
	}
	return first;
}

static void set_process(const struct identity_input *in, struct attrs *to)
{
	struct bytes exe = executable(in);

	attrs_int(to, "process.pid", in->pid);
	set_creation_time(in->start_unix, to);
	attrs_str(to, "process.executable.name", exe.n ? path_base(exe) : in->comm, PATH_LENGTH_MAX);
	attrs_str(to, "process.executable.path", exe, PATH_LENGTH_MAX);
	attrs_str(to, "process.command", command(in->args), PATH_LENGTH_MAX);
}

static uint64_t digest(struct sha1 *s)
{
	uint8_t h[SHA1_SIZE];
	uint64_t id;

	sha1_end(s, h);
	memcpy(&id, h, sizeof(id));
	return id ? id : 1;
}

static uint64_t attributes_id(const struct attrs *a)
{
	struct sha1 s;

	sha1_init(&s);
	for (uint32_t i = 0; i < a->n; i++) {
		sha1_add(&s, bytes_of(a->v[i].key, strlen(a->v[i].key) + 1));
		if (a->v[i].type == ATTR_STRING) {
			sha1_add(&s, bytes_of(&a->v[i].s.n, sizeof(a->v[i].s.n)));
			sha1_add(&s, a->v[i].s);
		} else {
			sha1_add(&s, bytes_of(&a->v[i].i, sizeof(a->v[i].i)));
		}
	}
	return digest(&s);
}

struct resource *identity_resource(const struct identity_input *in)
{
	struct resource *r = resource_new();
	struct attrs *to = r ? &r->attrs : NULL;
	const char *language = application_language(in->exe);

	if (!r)
		return NULL;
	set_service_name(in, to);
	environment_attributes(in->agent_attributes, agent_may_say, to);
	environment_attributes(environment_get(in->env, "OTEL_RESOURCE_ATTRIBUTES"), target_may_say, to);
	set_instance(in, to);
	set_process(in, to);
	set_if_missing(to, "container.id", identity_container(in->cgroup));
	set_if_missing(to, "host.name", in->host_name);
	set_if_missing(to, "host.id", in->host_id);
	set_if_missing(to, "host.arch", BYTES_LITERAL(HOST_ARCH));
	attrs_str(to, "os.type", BYTES_LITERAL("linux"), 0);
	attrs_str(to, "telemetry.sdk.name", BYTES_LITERAL("sonde"), 0);
	attrs_str(to, "telemetry.sdk.language", bytes_str(language), 0);
	attrs_str(to, "telemetry.sdk.version", in->agent_version, 0);
	r->id = attributes_id(to);
	return r;
}

uint64_t identity_service_key(const struct resource *r)
{
	static const char *const keys[] = { "service.name", "service.namespace", "process.executable.path" };
	struct sha1 s;

	sha1_init(&s);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct attr *a = attrs_find(&r->attrs, keys[i]);

		if (a && a->type == ATTR_STRING)
			sha1_add(&s, a->s);
		sha1_add(&s, bytes_of("", 1));
	}
	return digest(&s);
}

void identity_service_instance(const struct resource *r, char out[37])
{
	static const char *const keys[] = { "host.id", "container.id", "service.namespace", "service.name",
					    "process.executable.path" };
	char name[1024];
	size_t n = 0;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		const struct attr *a = attrs_find(&r->attrs, keys[i]);
		struct bytes v = a && a->type == ATTR_STRING ? bytes_head(a->s, 192) : bytes_of(NULL, 0);

		if (v.n)
			memcpy(name + n, v.p, v.n);
		n += v.n;
		name[n++] = '\n';
	}
	uuid5(instance_space, bytes_of(name, n), out);
}
