/* SPDX-License-Identifier: Apache-2.0 */
/* make_recording FILE: writes the recording of tests/tools/recording.h. */
#include <fcntl.h>
#include <unistd.h>

#include "recording.h"

int main(int argc, char **argv)
{
	int fd = argc == 2 ? open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;

	if (fd < 0) {
		fprintf(stderr, "usage: make_recording FILE\n");
		return 2;
	}
	rec_write_shop(fd);
	return close(fd) ? 1 : 0;
}
