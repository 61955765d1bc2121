/* SPDX-License-Identifier: Apache-2.0 */
/* The process without power: events in, telemetry out. */
#ifndef SONDE_WORKER_WORKER_H
#define SONDE_WORKER_WORKER_H

#include "channel/handles.h"

/* Runs until MESSAGE_STOP, the end of a replay, or the channel closes. The process's exit status. */
int worker_main(const struct config *cfg, struct ledger *ledger, const struct worker_handles *h);

#endif
