/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/program.h"

#include <stdlib.h>
#include <string.h>

#include "target/identity.h"
#include "util/hashmap.h"

#define ENVIRONMENT_MAX 2048
#define COMMAND_MAX 2048

struct program *program_new(unsigned wanted)
{
	struct program *p = calloc(1, sizeof(*p));

	if (p) {
		p->refs = 1;
		p->wanted = wanted;
	}
	return p;
}

struct program *program_ref(struct program *p)
{
	p->refs++;
	return p;
}

void program_unref(struct program *p)
{
	if (!p || --p->refs)
		return;
	buf_free(&p->exe);
	buf_free(&p->args);
	buf_free(&p->env);
	buf_free(&p->cgroup);
	buf_free(&p->cwd);
	free(p);
}

struct buf *program_fact(struct program *p, size_t i)
{
	struct buf *const facts[PROGRAM_FACTS] = { &p->exe, &p->args, &p->env, &p->cgroup, &p->cwd };

	return facts[i];
}

void program_environment(struct program *p, struct bytes env)
{
	/* What identity reads. OTEL_* as a whole would take in OTEL_EXPORTER_OTLP_HEADERS, which holds keys. */
	static const char *const names[] = {
		"OTEL_SERVICE_NAME=", "OTEL_RESOURCE_ATTRIBUTES=", "DJANGO_SETTINGS_MODULE=", "FLASK_APP=",
		"CELERY_APP=",	      "SPRING_APPLICATION_NAME="
	};

	buf_reset(&p->env);
	while (env.n) {
		size_t n = bytes_find(env, '\0');
		struct bytes variable = { env.p, n };

		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			if (bytes_starts(variable, bytes_str(names[i])) && p->env.n + n < ENVIRONMENT_MAX) {
				buf_add(&p->env, variable);
				buf_char(&p->env, '\0');
			}
		env = bytes_tail(env, n + 1);
	}
}

bool program_selected(const struct program *p, const struct config *cfg, uint32_t tgid, const uint16_t *ports,
		      size_t ports_n, const char **ret_service)
{
	char command[COMMAND_MAX];
	size_t n = p->args.n < sizeof(command) ? p->args.n : sizeof(command);
	struct config_target target = {
		.executable = buf_bytes(&p->exe),
		.container_id = identity_container(buf_bytes(&p->cgroup)),
		.pid = tgid,
		.ports = ports,
		.ports_n = ports_n,
	};

	while (n && p->args.p[n - 1] == '\0')
		n--;
	for (size_t i = 0; i < n; i++)
		command[i] = p->args.p[i] ? p->args.p[i] : ' ';
	target.command = bytes_of(command, n);
	return config_selects(cfg, &target, ret_service);
}

/* Equal for equal attributes in equal order: two resources of one service are one for every exporter. */
static uint64_t attributes_id(const struct attrs *a)
{
	uint64_t id = 1;

	for (uint32_t i = 0; i < a->n; i++) {
		const struct attr *at = &a->v[i];

		id = hash_bytes(id, at->key, strlen(at->key));
		if (at->type == ATTR_STRING)
			id = hash_bytes(id, at->s.p, at->s.n);
		else
			id = hash_bytes(id, &at->i, at->type == ATTR_BOOL ? sizeof(at->b) : sizeof(at->i));
	}
	return id;
}

struct resource *program_resource(const struct program *p, const struct program_host *host, const char *service,
				  uint32_t nspid, uint64_t start)
{
	struct identity_input in = {
		.exe = buf_bytes(&p->exe),
		.args = buf_bytes(&p->args),
		.env = buf_bytes(&p->env),
		.cgroup = buf_bytes(&p->cgroup),
		.cwd = buf_bytes(&p->cwd),
		.comm = bytes_of(p->comm, strnlen(p->comm, sizeof(p->comm))),
		.host_id = host->host_id,
		.host_name = host->host_name,
		.service = bytes_str(service),
		.agent_attributes = host->agent_attributes,
		.pid = nspid,
		.start = start,
		.start_unix = start ? start + (uint64_t)host->boottime_to_unix : 0,
		.agent_version = host->agent_version,
	};
	struct resource *r;

	if (!in.exe.n && in.args.n &&
	    in.args.p[0] == '/') /* gone before it could be asked: the path it was started by */
		in.exe = bytes_head(in.args, bytes_find(in.args, '\0'));
	r = identity_resource(&in);
	if (r)
		r->id = attributes_id(&r->attrs);
	return r;
}

struct resource *program_shared_resource(const struct resource *r)
{
	static const char *const own[] = { "process.pid",	   "process.creation.time", "process.command",
					   "process.command_line", "process.command_args",  "process.parent_pid",
					   "service.instance.id" };
	struct resource *shared = resource_new();
	char instance[37];

	for (uint32_t i = 0; shared && i < r->attrs.n; i++) {
		const struct attr *a = &r->attrs.v[i];
		bool skip = false;

		for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++)
			skip = skip || strcmp(a->key, own[k]) == 0;
		if (skip)
			continue;
		if (a->type == ATTR_STRING)
			attrs_str_copy_key(&shared->attrs, bytes_str(a->key), a->s, 0);
		else if (a->type == ATTR_INT)
			attrs_int(&shared->attrs, a->key, a->i); /* identity's own keys are static */
	}
	if (!shared)
		return NULL;
	identity_service_instance(r, instance);
	attrs_str(&shared->attrs, "service.instance.id", bytes_str(instance), 0);
	shared->id = attributes_id(&shared->attrs);
	return shared;
}
