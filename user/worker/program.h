/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of a program in execution: shared by a process and all it forks, until one of them executes something
 * else. Of its environment only the variables that name a service are kept: the rest may hold secrets.
 */
#ifndef SONDE_WORKER_PROGRAM_H
#define SONDE_WORKER_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "model/resource.h"
#include "util/buf.h"
#include "util/bytes.h"

/* What is asked of the keeper, as bits of struct program.wanted. */
enum program_fact {
	FACT_EXE = 1 << 0,
	FACT_ARGS = 1 << 1,
	FACT_ENV = 1 << 2,
	FACT_CGROUP = 1 << 3,
	FACT_CWD = 1 << 4,
	FACT_ALL = (1 << 5) - 1
};

#define PROGRAM_FACTS 5

struct program {
	unsigned refs;
	unsigned wanted, asked; /* enum program_fact: not known yet; on their way */
	bool known;		/* nothing more will be learned */
	bool queued;		/* waits for its turn to ask */
	uint64_t since;		/* CLOCK_MONOTONIC ns of the first question, 0 = none yet */
	struct buf exe, args, env, cgroup, cwd;
	char comm[16];
};

/* What is the same for all processes of the host. */
struct program_host {
	struct bytes host_name, host_id, agent_attributes, agent_version;
	int64_t boottime_to_unix; /* ns to add to a CLOCK_BOOTTIME to get time since the Unix epoch */
};

struct program *program_new(unsigned wanted); /* one reference; NULL when out of memory */
struct program *program_ref(struct program *p);
void program_unref(struct program *p); /* NULL is allowed */

/* The i-th of PROGRAM_FACTS: path, arguments, environment, control group, working directory. */
struct buf *program_fact(struct program *p, size_t i);
/* Keeps the variables of a NUL-separated environment that identity reads. */
void program_environment(struct program *p, struct bytes env);
/* As config_selects(). ports: those it listens on. */
bool program_selected(const struct program *p, const struct config *cfg, uint32_t tgid, const uint16_t *ports,
		      size_t ports_n, const char **ret_service);
/* One reference, or NULL when out of memory. service: the name the user's rule gives it, or NULL. */
struct resource *program_resource(const struct program *p, const struct program_host *host, const char *service,
				  uint32_t nspid, uint64_t start);
/*
 * The same service without what belongs to one process only, for metrics that add up several. Keeps
 * service.instance.id: each series needs an instance, and that of the first process seen stands for all. One reference,
 * or NULL.
 */
struct resource *program_shared_resource(const struct resource *r);

#endif
