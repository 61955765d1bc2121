/* SPDX-License-Identifier: Apache-2.0 */
/* Reads a recording (source/record.h) front to back. The file is hostile: every length is checked before use. */
#ifndef SONDE_SOURCE_REPLAY_H
#define SONDE_SOURCE_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "source/record.h"

struct replay;

struct replay_record {
	enum recording_type type;
	uint64_t time;
	const void *payload; /* 8-byte aligned, valid until the next call */
	size_t size;
};

/*
 * Checks the header. -EPROTONOSUPPORT: not a recording; -EPROTO: another version. The descriptor stays the caller's.
 */
int replay_new(int fd, struct replay **ret);
void replay_free(struct replay *r); /* NULL is allowed */
const struct recording_header *replay_header(const struct replay *r);
/* 1: *ret is the next record. 0: the end. -EBADMSG: damaged or cut at replay_offset(). Other negative errno: read
 * error. */
int replay_next(struct replay *r, struct replay_record *ret);
uint64_t replay_offset(const struct replay *r); /* in the file, of the record that was read last or could not be */

#endif
