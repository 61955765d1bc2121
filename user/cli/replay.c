/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "keeper/keeper.h"
#include "util/cleanup.h"
#include "util/log.h"

/* What can be said better before a worker has been started for it. */
static bool readable(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0) {
		log_error("cannot read the recording %s: %s. Recordings are made by: sudo sonde run --record FILE",
			  path, strerror(errno));
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		log_error("%s: expected a recording, got something that is not a regular file", path);
		return false;
	}
	return true;
}

int cli_replay(int argc, char **argv)
{
	const char *path;
	struct config *cfg;
	int status;

	if (!cli_begin(COMMAND_REPLAY, argc, argv, "the FILE of a recording", &cfg, &path, &status))
		return status;
	status = readable(path) ? keeper_replay(cfg, path) : EXIT_CONFIG;
	config_free(cfg);
	return status;
}
