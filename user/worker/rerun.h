/* SPDX-License-Identifier: Apache-2.0 */
/* `sonde replay`: the pipeline fed from a recording, as fast as its destinations take it. */
#ifndef SONDE_WORKER_RERUN_H
#define SONDE_WORKER_RERUN_H

#include "config/config.h"
#include "util/ledger.h"

/* fd: the recording. The process's exit status: 0, or 1 after telling the user what is wrong with the file and where.
 */
int rerun(const struct config *cfg, struct ledger *ledger, int fd);

#endif
