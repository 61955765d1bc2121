/* SPDX-License-Identifier: Apache-2.0 */
/* without_bpf COMMAND...: runs it where bpf() is refused with EPERM, as a container's default seccomp filter does. */
#include <errno.h>
#include <seccomp.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	int r = filter ? seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(bpf), 0) : -ENOMEM;

	if (argc < 2 || r || (r = seccomp_load(filter))) {
		fprintf(stderr, "without_bpf: %s\n", argc < 2 ? "COMMAND..." : "the filter cannot be loaded");
		return 125;
	}
	seccomp_release(filter);
	execvp(argv[1], argv + 1);
	perror(argv[1]);
	return 127;
}
