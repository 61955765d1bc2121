/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recording: what the worker was given during a run, so that `sonde replay` can run everything behind it again
 * without privileges and without a kernel side. It holds the bytes that services exchanged: files are made with mode
 * 0600 by who opens them, and are as confidential as the traffic itself. Environments are kept only as far as identity
 * needs them.
 *
 * Layout: struct recording_header, then records: struct recording_entry and its payload, padded with zeros to 8 bytes.
 * Integers in the byte order of the machine that wrote it; a file of the other order fails the check of `version`.
 */
#ifndef SONDE_SOURCE_RECORD_H
#define SONDE_SOURCE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "hist.h"

#define RECORDING_MAGIC "SONDEREC"
#define RECORDING_VERSION 1
#define RECORDING_PAYLOAD_MAX (64u << 10)

struct recording_header {
	char magic[8];
	uint32_t version;
	uint32_t size;		 /* of this header: later versions may append */
	uint64_t started;	 /* CLOCK_MONOTONIC ns: when observing began */
	int64_t realtime_offset; /* CLOCK_REALTIME - CLOCK_MONOTONIC at that time, ns */
	int64_t boottime_offset; /* CLOCK_BOOTTIME - CLOCK_MONOTONIC, ns */
	uint32_t cpus;
	uint32_t pad;
	char host_name[72]; /* NUL-terminated, as the others */
	char host_id[40];   /* a digest of the machine id, never the id */
	char kernel[72];    /* uname -r */
};

enum recording_type {
	RECORDING_EVENT = 1,	 /* a record of the ring buffer, struct event_header first */
	RECORDING_MESSAGE = 2,	 /* a message of the keeper: PROCESS, SOCKET, SCANNED */
	RECORDING_IDENTITY = 3,	 /* struct recording_identity: what was learned of a process */
	RECORDING_HISTOGRAM = 4, /* struct recording_histogram: a key that changed, in this reading */
	RECORDING_READING = 5, /* __u64 v[]: the kernel's counters, by enum kernel_counter; ends a reading of metrics */
};

struct recording_entry {
	uint32_t size; /* of the payload */
	uint16_t type; /* enum recording_type */
	uint16_t pad;
	uint64_t time; /* CLOCK_MONOTONIC ns: when the worker took it */
};

struct recording_identity {
	uint32_t tgid;
	uint32_t len[5]; /* of the data: path, arguments, environment, control group, working directory */
	char data[];
};

struct recording_histogram {
	struct hist_key key;
	struct hist_value value; /* all CPUs, as it stands */
};

/* As it was before there were amounts. */
#define RECORDING_HISTOGRAM_SHORT (sizeof(struct hist_key) + offsetof(struct hist_value, amount))

_Static_assert(sizeof(struct recording_header) == 48 + 184, "size of struct recording_header");
_Static_assert(sizeof(struct recording_entry) == 16, "size of struct recording_entry");
_Static_assert(sizeof(struct recording_identity) == 24, "size of struct recording_identity");

struct recorder;

/* Writes the header. The descriptor stays the caller's. */
int recorder_new(int fd, const struct recording_header *header, struct recorder **ret);
/*
 * Appends one record. Buffered. Negative errno when the file cannot be written any more; every later call then returns
 * the same and writes nothing, so what is in the file stays readable. -EMSGSIZE: larger than RECORDING_PAYLOAD_MAX,
 * left out.
 */
int recorder_add(struct recorder *r, enum recording_type type, uint64_t time, const void *payload, size_t size);
int recorder_flush(struct recorder *r);
void recorder_free(struct recorder *r); /* without flushing. NULL is allowed */

/* Fills in the facts of this host and of now. */
void recording_describe(struct recording_header *ret, uint64_t started);

#endif
