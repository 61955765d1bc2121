/* SPDX-License-Identifier: Apache-2.0 */
/* The lines that a person sees first: what is watched, where it goes, and that it has begun. */
#ifndef SONDE_WORKER_BANNER_H
#define SONDE_WORKER_BANNER_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/messages.h"
#include "config/config.h"
#include "worker/processes.h"

struct banner;

struct banner *banner_new(void);    /* NULL when out of memory */
void banner_free(struct banner *b); /* NULL is allowed */
/* A socket that existed at start. */
void banner_socket(struct banner *b, const struct message_socket *m);
/* True while facts about the owner of one of these are on their way. */
bool banner_waits(const struct banner *b, struct processes *p);
/* Prints the lines to fd. started, now: CLOCK_MONOTONIC ns. */
void banner_print(struct banner *b, struct processes *p, const struct config *cfg, int fd, uint64_t started,
		  uint64_t now);

#endif
