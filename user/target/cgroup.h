/* SPDX-License-Identifier: Apache-2.0 */
/* What the text of /proc/PID/cgroup (cgroups(7), versions 1 and 2) says about who runs a process. Pure. */
#ifndef SONDE_TARGET_CGROUP_H
#define SONDE_TARGET_CGROUP_H

#include "util/bytes.h"

#define UNIT_MAX 256

/*
 * The name of the systemd service that the process belongs to, without ".service" and with systemd's escapes undone, in
 * ret (not NUL-terminated). Empty: it is in a container, a login session, a user's manager, or under a service that
 * only starts other people's programs (cron, sshd, a supervisor).
 */
struct bytes cgroup_unit(struct bytes cgroup, char ret[UNIT_MAX]);

#endif
