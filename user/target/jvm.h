/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where HotSpot (libjvm.so) says how its structures are laid out: gHotSpotVMStructs, an array that it exports for
 * debuggers (src/hotspot/share/runtime/vmStructs.hpp). The names are in the file; the offsets are filled in when the
 * library is loaded, so they are to be read from the process. Input is hostile, as in target/elf.h.
 */
#ifndef SONDE_TARGET_JVM_H
#define SONDE_TARGET_JVM_H

#include <stdbool.h>
#include <stdint.h>

#include "proc.h"

struct jvm {
	bool is_jvm;	 /* it has the array */
	bool is_virtual; /* and virtual threads, JDK 21 or newer */
	uint64_t place;	 /* of the array, from where the first byte of the file would be mapped as its code is */
	uint16_t entries[JAVA_FIELDS]; /* in it: those of enum java_field; 0 = there is none */
};

/* False: it has virtual threads, and not all that they are told by. */
bool jvm_read(int fd, struct jvm *ret);

#endif
