/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Statements that libpq was given and whose end nobody will tell: their process was killed, or more of them were open
 * than are ended at once. The kernel side finds them by their connection only; so the keeper looks for them now and
 * then.
 */
#ifndef SONDE_KEEPER_LIBPQ_SWEEP_H
#define SONDE_KEEPER_LIBPQ_SWEEP_H

#include <stdint.h>

struct held;

/* Removes them; how many. */
uint32_t libpq_sweep(const struct held *held);

#endif
