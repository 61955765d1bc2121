/* SPDX-License-Identifier: Apache-2.0 */
/* Perf events that programs hang on. */
#ifndef SONDE_KEEPER_PERF_EVENT_H
#define SONDE_KEEPER_PERF_EVENT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A classic tracepoint, on all processes; a descriptor or negative errno. Where tracefs is not mounted it is mounted
 * for a moment in a mount namespace of a child, so that nothing changes for anybody else.
 */
int tracepoint_open(const char *category, const char *name);
/* The instruction at an offset of a file, or the return from the function that begins there, in all processes. */
int uprobe_open(const char *path, uint64_t offset, bool is_return);

#endif
