/* SPDX-License-Identifier: Apache-2.0 */
/* Number of a classic tracepoint, as perf_event_open wants it. */
#ifndef SONDE_KEEPER_TRACEPOINT_H
#define SONDE_KEEPER_TRACEPOINT_H

/*
 * Positive, or negative errno. Where tracefs is not mounted it is mounted for a moment in a mount namespace of a child,
 * so that nothing changes for anybody else.
 */
int tracepoint_id(const char *category, const char *name);
/* A perf event of the tracepoint on all processes; a descriptor or negative errno. */
int tracepoint_open(const char *category, const char *name);

#endif
