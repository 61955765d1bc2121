/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/processes.h"

#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "target/identity.h"
#include "util/hashmap.h"
#include "worker/questions.h"

#define PROCESSES_MAX 32768
#define SERVICES_MAX 16384
#define SHARED_MAX 8192
#define START_NS 20000000ULL
#define READY_NS 10000000000ULL	  /* how long what a process did may wait for its facts: without, it has another name */
#define GONE_NS 10000000000ULL	  /* how long a process that spoke is remembered after its exit */
#define FORGET_NS 600000000000ULL /* after that, what it counted was read long ago */
#define DEAD_NS                                                                                              \
	30000000000ULL /* how long after its last process a service can still be counted: connections linger \
			*/

struct service {
	uint32_t alive;
	bool active, excluded; /* excluded: by the rules, as far as is known */
	uint64_t dead_since;   /* when alive became 0 */
	struct resource *resource;
	uint16_t ports[SERVICE_PORTS_MAX];
	size_t ports_n;
};

struct processes {
	struct processes_config cfg;
	struct outbox *out;
	struct hashmap *processes; /* tgid -> struct process */
	struct hashmap *services;  /* number -> struct service */
	struct hashmap *shared;	   /* identity_service_key() and container -> struct resource * */
	struct resource *unknown;
	struct questions *questions; /* NULL: nobody answers */
	uint64_t swept, now;	     /* now: of what arrived last */
	bool ports_matter;
};

static struct service *service_of(struct processes *p, uint32_t number)
{
	bool is_new;
	struct service *s = number ? hashmap_put(p->services, &number, &is_new) : NULL;

	if (s && is_new)
		s->dead_since = p->now;
	return s;
}

static void service_leave(struct processes *p, uint32_t number, uint64_t now)
{
	struct service *s = number ? hashmap_peek(p->services, &number) : NULL;

	if (!s || !s->alive || --s->alive)
		return;
	s->dead_since = now;
	if (s->active)
		return;
	resource_unref(s->resource);
	hashmap_remove(p->services, &number);
}

static void drop_process(void *context, const void *key, void *value)
{
	struct process *process = value;

	(void)context;
	(void)key;
	program_unref(process->program);
	resource_unref(process->resource);
}

static void drop_service(void *context, const void *key, void *value)
{
	(void)context;
	(void)key;
	resource_unref(((struct service *)value)->resource);
}

static void drop_shared(void *context, const void *key, void *value)
{
	(void)context;
	(void)key;
	resource_unref(*(struct resource **)value);
}

static bool runs(void *context, uint32_t tgid, const struct program *program)
{
	const struct processes *p = context;
	const struct process *process = hashmap_peek(p->processes, &tgid);

	return process && process->program == program && !process->exited;
}

struct processes *processes_new(const struct processes_config *cfg, struct outbox *out)
{
	struct processes *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->cfg = *cfg;
	p->out = out;
	p->processes = hashmap_new(sizeof(uint32_t), sizeof(struct process), PROCESSES_MAX, drop_process, p);
	p->services = hashmap_new(sizeof(uint32_t), sizeof(struct service), SERVICES_MAX, drop_service, p);
	p->shared = hashmap_new(sizeof(uint64_t), sizeof(struct resource *), SHARED_MAX, drop_shared, p);
	if (cfg->asks)
		p->questions = questions_new(out, cfg->learned, cfg->context, runs, p);
	for (size_t i = 0; i < cfg->config->include_n; i++)
		p->ports_matter = p->ports_matter || cfg->config->include[i].port;
	if (p->processes && p->services && p->shared && (p->questions || !cfg->asks))
		return p;
	processes_free(p);
	return NULL;
}

void processes_free(struct processes *p)
{
	if (!p)
		return;
	questions_free(p->questions);
	hashmap_free(p->processes);
	hashmap_free(p->services);
	hashmap_free(p->shared);
	resource_unref(p->unknown);
	free(p);
}

struct process *processes_find(struct processes *p, uint32_t tgid)
{
	return hashmap_get(p->processes, &tgid);
}

struct process *processes_next(struct processes *p, void **cursor)
{
	return hashmap_next(p->processes, cursor, NULL);
}

/* --- processes --- */

/* Makes process run program (its reference is taken) under a service number. */
static void set_program(struct processes *p, struct process *process, struct program *program, uint32_t service,
			uint64_t now)
{
	if (process->service != service) {
		struct service *s = service_of(p, service);

		if (s)
			s->alive++;
		service_leave(p, process->service, now);
		process->service = service;
	}
	program_unref(process->program);
	resource_unref(process->resource);
	process->program = program;
	process->resource = NULL;
	process->selection = SELECTION_UNKNOWN;
}

/* The entry of a tgid, whoever had that number before. NULL: no memory. */
static struct process *make(struct processes *p, uint32_t tgid, uint64_t start, uint64_t now)
{
	bool is_new;
	struct process *process;

	if (hashmap_count(p->processes) == PROCESSES_MAX && !hashmap_peek(p->processes, &tgid)) {
		const void *key;
		struct process *oldest = hashmap_oldest(p->processes, &key);
		uint32_t gone = oldest->tgid;

		service_leave(p, oldest->service, now);
		drop_process(p, key, oldest);
		hashmap_remove(p->processes, &gone);
	}
	process = hashmap_put(p->processes, &tgid, &is_new);
	if (!process)
		return NULL;
	/* /proc knows a start to a hundredth of a second, the kernel side exactly */
	if (!is_new && start && process->start &&
	    (start > process->start + START_NS || process->start > start + START_NS)) {
		service_leave(p, process->service, now);
		drop_process(p, &tgid, process);
		*process = (struct process){ 0 };
		is_new = true;
	}
	process->tgid = tgid;
	if (start)
		process->start = start;
	if (is_new)
		process->seen = now;
	process->exited = 0;
	return process;
}

static void forget(struct processes *p, struct process *process, uint64_t now)
{
	uint32_t tgid = process->tgid;

	service_leave(p, process->service, now);
	drop_process(p, &tgid, process);
	hashmap_remove(p->processes, &tgid);
}

static void tell(struct processes *p, struct process *process, bool ignore)
{
	struct message_service m = { .kind = MESSAGE_SERVICE,
				     .tgid = process->tgid,
				     .flags = ignore ? SERVICE_IGNORE : 0 };

	if (process->ignored == ignore || process->exited || outbox_send(p->out, &m, sizeof(m)))
		return;
	process->ignored = ignore;
}

static void on_exec(struct processes *p, const struct event_process *e, uint64_t now)
{
	struct process *process = make(p, e->header.tgid, e->start, now);
	struct program *program = process ? program_new(FACT_EXE | FACT_CGROUP | FACT_CWD) : NULL;

	if (!program)
		return;
	memcpy(program->comm, e->comm, sizeof(program->comm));
	buf_add(&program->args, bytes_of(e->data, e->args_len));
	program_environment(program, bytes_of(e->data + e->args_len, e->env_len));
	if (e->flags & PROCESS_ENV_CUT)
		program->wanted |= FACT_ENV;
	process->parent = e->parent;
	process->nspid = e->nspid;
	process->seen = now;
	process->wire_since = process->hidden = process->negotiated = process->tls = 0;
	if (e->header.time > process->mapped + PROC_MAPPED_NS) /* else the new program has mapped something already */
		process->libraries = process->hints = 0;
	process->maps_known = true;
	tell(p, process, false); /* what it runs now may be wanted */
	set_program(p, process, program, e->service, now);
	if (p->questions)
		questions_ask(p->questions, process->tgid, program, false, now);
}

static void on_fork(struct processes *p, const struct event_process *e, uint64_t now)
{
	struct process *process = make(p, e->header.tgid, e->start, now);
	const struct process *parent = hashmap_peek(p->processes, &e->parent);
	struct program *program;

	if (!process)
		return;
	if (parent && parent->program && parent != process) {
		program = program_ref(parent->program);
		process->libraries = parent->libraries;
		process->hints = parent->hints;
		process->maps_known = parent->maps_known;
		process->ignored = parent->ignored; /* the kernel side copies that, too */
	} else if (e->what == PROCESS_SEEN && process->program) {
		program = program_ref(process->program);
	} else {
		program = program_new(FACT_ALL);
		if (!program)
			return;
		memcpy(program->comm, e->comm, sizeof(program->comm));
	}
	if (e->what == PROCESS_FORK) {
		process->parent = e->parent;
		process->nspid = e->nspid;
	}
	set_program(p, process, program, e->service, now);
}

void processes_event(struct processes *p, const struct event_process *e, uint64_t now)
{
	struct process *process;

	p->now = now;
	switch (e->what) {
	case PROCESS_EXEC:
		on_exec(p, e, now);
		break;
	case PROCESS_FORK:
	case PROCESS_SEEN:
		on_fork(p, e, now);
		break;
	case PROCESS_EXIT:
		process = hashmap_get(p->processes, &e->header.tgid);
		if (!process)
			break;
		process->exited = now;
		if (!process->active)
			forget(p, process, now);
		break;
	}
}

void processes_message(struct processes *p, const struct message_process *m, uint64_t now)
{
	struct process *process = make(p, m->tgid, m->start, now);
	struct program *program;

	p->now = now;
	if (!process || (process->program && process->service == m->service))
		return; /* its own events came first and know more */
	program = program_new(FACT_ALL);
	if (!program)
		return;
	memcpy(program->comm, m->comm, sizeof(program->comm) - 1);
	process->parent = m->parent;
	process->nspid = m->nspid;
	set_program(p, process, program, m->service, now);
}

void processes_identity(struct processes *p, uint32_t tgid, const struct bytes facts[PROGRAM_FACTS], uint64_t now)
{
	struct process *process = make(p, tgid, 0, now);
	struct program *program;

	if (!process)
		return;
	if (!process->program)
		process->program = program_new(0);
	program = process->program;
	if (!program || program->known)
		return;
	for (size_t i = 0; i < PROGRAM_FACTS; i++) {
		struct buf *b = program_fact(program, i);

		buf_reset(b);
		buf_add(b, facts[i]);
	}
	program->wanted = 0;
	program->known = true;
}

void processes_port(struct processes *p, uint32_t service, uint16_t port)
{
	struct service *s = service_of(p, service);

	if (!s || !port || s->ports_n == SERVICE_PORTS_MAX)
		return;
	for (size_t i = 0; i < s->ports_n; i++)
		if (s->ports[i] == port)
			return;
	s->ports[s->ports_n++] = port;
}

const uint16_t *processes_ports(struct processes *p, uint32_t service, size_t *ret_n)
{
	const struct service *s = hashmap_peek(p->services, &service);

	*ret_n = s ? s->ports_n : 0;
	return s ? s->ports : NULL;
}

void processes_want(struct processes *p, uint32_t tgid, uint64_t now)
{
	const struct process *process = hashmap_peek(p->processes, &tgid);

	if (process && process->program && p->questions)
		questions_ask(p->questions, tgid, process->program, true, now);
}

void processes_opened(struct processes *p, const struct message_opened *m, struct bytes text, uint64_t now)
{
	if (p->questions)
		questions_opened(p->questions, m, text, now);
}

void processes_tick(struct processes *p, uint64_t now)
{
	struct process *process;
	struct service *s;
	const void *key;
	void *cursor = NULL;

	p->now = now;
	if (p->questions)
		questions_tick(p->questions, now);
	if (now < p->swept + 1000000000ULL)
		return;
	p->swept = now;
	while ((process = hashmap_next(p->processes, &cursor, NULL)))
		if (process->exited && now > process->exited + GONE_NS)
			forget(p, process, now);
	for (cursor = NULL; (s = hashmap_next(p->services, &cursor, &key));)
		if (!s->alive && now > s->dead_since + FORGET_NS) {
			drop_service(p, key, s);
			hashmap_remove(p->services, key);
		}
}

bool processes_ready(struct processes *p, uint32_t tgid, uint32_t service, uint64_t now)
{
	struct process *process = hashmap_get(p->processes, &tgid);
	struct service *s;

	if (!tgid)
		return true;
	if (!process || !process->program) { /* the event of its birth was lost */
		struct program *program = program_new(FACT_ALL);

		process = program ? make(p, tgid, 0, now) : NULL;
		if (!process) {
			program_unref(program);
			return true;
		}
		set_program(p, process, program, service, now);
	}
	if (!process->service && service) { /* known by its identity only, so far */
		s = service_of(p, service);
		if (s)
			s->alive++;
		process->service = service;
	}
	if (!process->active) {
		process->active = true;
		s = service_of(p, process->service);
		if (s)
			s->active = true;
	}
	if (process->program->known)
		return true;
	if (!p->questions)
		return true;
	questions_ask(p->questions, tgid, process->program, true, now);
	if (now > process->program->since + READY_NS)
		questions_settle(p->questions, tgid, process->program);
	return process->program->known;
}

/* --- who is observed --- */

/* Would the process be observed if it listened on one of the ports that rules name? */
static bool port_could_select(const struct processes *p, const struct process *process)
{
	const struct config *cfg = p->cfg.config;
	const char *name;

	for (size_t i = 0; i < cfg->include_n; i++)
		if (cfg->include[i].port &&
		    program_selected(process->program, cfg, process->tgid, &cfg->include[i].port, 1, &name))
			return true;
	return false;
}

/* The one resource of all service numbers that are the same service in the same container. */
static struct resource *shared_resource(struct processes *p, const struct resource *r)
{
	const struct attr *container = attrs_find(&r->attrs, "container.id");
	uint64_t key = identity_service_key(r);
	struct resource **slot;

	if (container && container->type == ATTR_STRING)
		key = hash_bytes(key, container->s.p, container->s.n);
	slot = hashmap_put(p->shared, &key, NULL);
	if (!slot)
		return NULL;
	if (!*slot)
		*slot = program_shared_resource(r);
	return resource_ref(*slot);
}

static void decide(struct processes *p, struct process *process)
{
	struct service *s = service_of(p, process->service);
	size_t ports_n = s ? s->ports_n : 0;
	const char *name = NULL;

	if (process->selection != SELECTION_UNKNOWN &&
	    (process->selection != NOT_SELECTED_YET || process->selection_ports == ports_n))
		return;
	process->selection_ports = ports_n;
	if (!program_selected(process->program, p->cfg.config, process->tgid, s ? s->ports : NULL, ports_n, &name)) {
		process->selection = p->ports_matter && port_could_select(p, process) ? NOT_SELECTED_YET : NOT_SELECTED;
		tell(p, process, process->selection == NOT_SELECTED);
		if (s)
			s->excluded = process->selection == NOT_SELECTED;
		return;
	}
	process->selection = SELECTED;
	tell(p, process, false);
	process->resource = program_resource(process->program, &p->cfg.host, name,
					     process->nspid ? process->nspid : process->tgid, process->start);
	if (process->resource && s && !s->resource)
		s->resource = shared_resource(p, process->resource);
}

enum service_state processes_service(struct processes *p, uint32_t service, struct resource **ret)
{
	const struct service *s = hashmap_peek(p->services, &service);
	struct process *process;
	void *cursor = NULL;

	/* Nobody decided on it yet when the records of all it did were lost. */
	while (s && !s->resource && !s->excluded && (process = hashmap_next(p->processes, &cursor, NULL)))
		if (process->service == service && process->program && process->program->known)
			decide(p, process);
	if (s && s->resource)
		*ret = s->resource;
	return !s ? SERVICE_UNKNOWN : s->resource ? SERVICE_OBSERVED : s->excluded ? SERVICE_EXCLUDED : SERVICE_UNKNOWN;
}

struct resource *processes_resource(struct processes *p, uint32_t tgid, uint32_t service)
{
	struct process *process = hashmap_peek(p->processes, &tgid);

	if (!process || !process->program) {
		struct resource *r = NULL;

		return processes_service(p, service, &r) == SERVICE_UNKNOWN ? processes_unknown_resource(p) : r;
	}
	decide(p, process);
	return process->resource;
}

struct resource *processes_unknown_resource(struct processes *p)
{
	static const struct program nothing = { .known = true };
	const char *name = NULL;

	if (!p->unknown && program_selected(&nothing, p->cfg.config, 0, NULL, 0, &name))
		p->unknown = program_resource(&nothing, &p->cfg.host, name, 0, 0);
	return p->unknown;
}

bool processes_service_dead(struct processes *p, uint32_t service)
{
	struct service *s = hashmap_peek(p->services, &service);

	if (!s)
		s = service_of(p, service);
	if (!s)
		return false;
	s->active = true; /* if nothing was heard of it yet, its processes get time to show themselves */
	return !s->alive && p->now > s->dead_since + DEAD_NS;
}
