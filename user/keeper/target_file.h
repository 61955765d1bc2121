/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one door through which the privileged process opens files of targets. Nothing that is opened is parsed here, but
 * for the kernel's own columns of /proc/PID/maps where map_files is refused.
 *
 * A process is held by a pidfd and checked to be alive after its file was opened: a reused pid is -ESRCH. Files that a
 * target chose (its executable, what it maps) are first only located (O_PATH), must prove to be regular, and are then
 * opened as that very inode: no FIFO or device is ever opened, no lease waited for, no path of the target trusted.
 */
#ifndef SONDE_KEEPER_TARGET_FILE_H
#define SONDE_KEEPER_TARGET_FILE_H

#include <stdint.h>

#include "channel/messages.h"

#define TARGET_FILE_MAX (1ULL << 30) /* bytes of an executable or a library; larger is -EFBIG */

/*
 * Opens a file of process tgid read-only, close-on-exec. start and len are for TARGET_MAPPING: the file mapped at
 * [start, start+len), or, when that mapping was split since, at start. *ret_facts is all of the answer but its token;
 * its path is where the kernel says the file is (cut to fit; with " (deleted)" when it is). *ret_fd is owned by the
 * caller, -1 for TARGET_EXE_LINK and TARGET_CWD_LINK. To attach probes to the file, name it "/proc/self/fd/<fd>".
 *
 * Negative errno: -ESRCH gone (or the caller itself, or a thread), -ENOENT no such mapping, -EINVAL not a regular file
 * or a bad request, -EFBIG, -ESTALE the path leads to another file by now, -EACCES, -EPERM.
 */
int target_open(uint32_t tgid, enum target_file what, uint64_t start, uint64_t len, struct message_opened *ret_facts,
		int *ret_fd);

#endif
