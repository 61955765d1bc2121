/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which service a process is: from bytes that the target wrote, to a resource. Pure. CONVENTIONS: service.name by,
 * first that answers: the user's rule > OTEL_SERVICE_NAME > service.name in OTEL_RESOURCE_ATTRIBUTES > container or
 * systemd unit > WSGI/ASGI/Celery application name > executable ("unknown_service:<name>" is not used when an
 * executable name is known only as an interpreter: then the script's or module's name is).
 */
#ifndef SONDE_TARGET_IDENTITY_H
#define SONDE_TARGET_IDENTITY_H

#include "model/resource.h"
#include "util/bytes.h"

/* All of it may be empty or cut short. */
struct identity_input {
	struct bytes exe;    /* path */
	struct bytes args;   /* NUL-separated */
	struct bytes env;    /* NUL-separated */
	struct bytes cgroup; /* text of /proc/PID/cgroup */
	struct bytes cwd;    /* path; names what was started by a relative one */
	struct bytes comm;
	struct bytes host_id, host_name; /* machine-id, hostname */
	struct bytes service;		 /* the user's rule, empty = none */
	struct bytes agent_attributes; /* OTEL_RESOURCE_ATTRIBUTES of the agent, added where the target says nothing */
	uint32_t pid;		       /* in its own namespace */
	uint64_t start;		       /* CLOCK_BOOTTIME ns: part of service.instance.id */
	uint64_t start_unix;	       /* ns since the epoch, for process.creation.time */
	struct bytes agent_version;
};

/* A resource with service.*, process.*, container.id, host.*, os.type, telemetry.*; NULL when out of memory. */
struct resource *identity_resource(const struct identity_input *in);
/* The container id in a cgroup text (64 hex digits), or empty. */
struct bytes identity_container(struct bytes cgroup);
/* Equal numbers: the same service (name, namespace, executable), whatever the process. For histogram keys. */
uint64_t identity_service_key(const struct resource *r);

/*
 * service.instance.id for what all processes of a service count together: the same for each of them and after a restart
 * of the agent, or its series would break in two. out: 36 characters and a NUL.
 */
void identity_service_instance(const struct resource *r, char out[37]);

#endif
