/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where the keeper and the worker meet. */
#include "keeper/keeper.h"
#include "worker/worker.h"

worker_main_fn *const keeper_worker = worker_main;
