/* SPDX-License-Identifier: Apache-2.0 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "keeper/target_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/cleanup.h"

/* O_NONBLOCK: a file under a lease answers EWOULDBLOCK instead of making us wait for its holder. */
#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

struct mapping {
	uint64_t start, end, ino;
	unsigned int dev_major, dev_minor;
	char path[PATH_MAX]; /* as in maps, with line ends escaped */
};

static int open_how(int dir, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = { .flags = flags, .resolve = resolve };
	long fd = -1;

	/* EAGAIN: the path was renamed under us and the kernel could not be sure that ".." stayed inside. */
	for (int i = 0; i < 8; i++) {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd < 0 ? -errno : (int)fd;
}

static int check_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n = poll(&p, 1, 0);

	if (n < 0)
		return -errno;
	return n > 0 ? -ESRCH : 0;
}

/* /proc/PID of the process that pidfd holds. Files opened below it belong to that process and no later one. */
static int open_process(uint32_t tgid, int *ret_pidfd, int *ret_dir)
{
	_cleanup_close_ int pidfd = -1, dir = -1;
	char path[32];
	struct statfs fs;
	int r;

	if (tgid == 0 || tgid > INT_MAX || tgid == (uint32_t)getpid())
		return -ESRCH;
	pidfd = (int)syscall(SYS_pidfd_open, tgid, 0);
	if (pidfd < 0) /* EINVAL, ENOENT: a thread, not a process */
		return errno == EINVAL || errno == ENOENT ? -ESRCH : -errno;
	snprintf(path, sizeof(path), "/proc/%" PRIu32, tgid);
	dir = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	if (fstatfs(dir, &fs) < 0)
		return -errno;
	if (fs.f_type != PROC_SUPER_MAGIC)
		return -ENOTSUP;
	r = check_alive(pidfd);
	if (r < 0)
		return r;
	*ret_pidfd = take_fd(&pidfd);
	*ret_dir = take_fd(&dir);
	return 0;
}

static int file_facts(int fd, struct message_opened *ret, bool *ret_regular)
{
	char link[32];
	struct statx st;
	ssize_t n;

	/* DONT_SYNC: a network or user-space file system is not asked, it could answer late. */
	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) < 0)
		return -errno;
	*ret = (struct message_opened){
		.kind = MESSAGE_OPENED,
		.dev_major = st.stx_dev_major,
		.dev_minor = st.stx_dev_minor,
		.ino = st.stx_ino,
		.size = st.stx_size,
		.mtime_ns = st.stx_mtime.tv_sec * 1000000000LL + st.stx_mtime.tv_nsec,
	};
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, ret->path, sizeof(ret->path) - 1);
	if (n < 0)
		return -errno;
	ret->path[n] = '\0';
	*ret_regular = S_ISREG(st.stx_mode);
	return 0;
}

/* Opens what an O_PATH descriptor stands for, when it is a regular file of a size that can be an ELF file. */
static int open_regular(int located, struct message_opened *ret_facts, int *ret_fd)
{
	struct message_opened facts;
	char link[32];
	bool regular;
	int fd, r;

	r = file_facts(located, &facts, &regular);
	if (r < 0)
		return r;
	if (!regular)
		return -EINVAL;
	if (facts.size > TARGET_FILE_MAX)
		return -EFBIG;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", located);
	fd = open(link, READ_FLAGS);
	if (fd < 0)
		return -errno;
	*ret_facts = facts;
	*ret_fd = fd;
	return 0;
}

static int open_magic_link(int dir, const char *name, struct message_opened *ret_facts, int *ret_fd)
{
	_cleanup_close_ int located = openat(dir, name, O_PATH | O_CLOEXEC);

	if (located < 0)
		return -errno;
	return open_regular(located, ret_facts, ret_fd);
}

/* The kernel's columns: "start-end perms offset major:minor inode   path". */
static bool parse_mapping(const char *line, struct mapping *ret)
{
	int path_at = 0;

	if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %*4s %*x %x:%x %" SCNu64 " %n", &ret->start, &ret->end,
		   &ret->dev_major, &ret->dev_minor, &ret->ino, &path_at) < 5 ||
	    path_at == 0)
		return false;
	snprintf(ret->path, sizeof(ret->path), "%s", line + path_at);
	ret->path[strcspn(ret->path, "\n")] = '\0';
	return true;
}

/* The mapping of a file that address lies in. */
static int find_mapping(int dir, uint64_t address, struct mapping *ret)
{
	_cleanup_close_ int fd = open_how(dir, "maps", READ_FLAGS, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	size_t cap = 0;

	if (fd < 0)
		return fd;
	f = fdopen(fd, "re");
	if (!f)
		return -errno;
	(void)take_fd(&fd);
	while (getline(&line, &cap, f) > 0) {
		if (!parse_mapping(line, ret))
			return -EBADMSG;
		if (address < ret->start)
			break;
		if (address < ret->end)
			return ret->path[0] == '/' && ret->ino ? 0 : -ENOENT;
	}
	return ferror(f) ? -EIO : -ENOENT;
}

/* Without the capability for map_files: by path, inside the process's own root, and then it must be the same inode. */
static int open_by_path(int dir, const struct mapping *m, struct message_opened *ret_facts, int *ret_fd)
{
	_cleanup_close_ int root = -1, located = -1, fd = -1;
	struct message_opened facts;
	int r;

	root = openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	located = open_how(root, m->path, O_PATH | O_CLOEXEC, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
	if (located < 0)
		return located == -ENOENT ? -ESTALE : located;
	r = open_regular(located, &facts, &fd);
	if (r < 0)
		return r;
	if (facts.ino != m->ino || facts.dev_major != m->dev_major || facts.dev_minor != m->dev_minor)
		return -ESTALE;
	*ret_facts = facts;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int open_map_files(int dir, uint64_t start, uint64_t end, struct message_opened *ret_facts, int *ret_fd)
{
	char name[64];

	snprintf(name, sizeof(name), "map_files/%" PRIx64 "-%" PRIx64, start, end);
	return open_magic_link(dir, name, ret_facts, ret_fd);
}

static int open_mapping(int dir, uint64_t start, uint64_t len, struct message_opened *ret_facts, int *ret_fd)
{
	struct mapping m;
	uint64_t end;
	int r;

	if (len == 0 || __builtin_add_overflow(start, len, &end))
		return -EINVAL;
	r = open_map_files(dir, start, end, ret_facts, ret_fd);
	if (r != -ENOENT && r != -EPERM && r != -EACCES)
		return r;
	r = find_mapping(dir, start, &m);
	if (r < 0)
		return r;
	r = open_map_files(dir, m.start, m.end, ret_facts, ret_fd);
	if (r != -EPERM && r != -EACCES)
		return r;
	return open_by_path(dir, &m, ret_facts, ret_fd);
}

static int open_text(int dir, const char *name, struct message_opened *ret_facts, int *ret_fd)
{
	_cleanup_close_ int fd =
		open_how(dir, name, READ_FLAGS, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
	bool regular;
	int r;

	if (fd < 0)
		return fd;
	r = file_facts(fd, ret_facts, &regular);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int read_link(int dir, const char *name, struct message_opened *ret_facts)
{
	struct message_opened facts = { .kind = MESSAGE_OPENED };
	ssize_t n = readlinkat(dir, name, facts.path, sizeof(facts.path));

	if (n < 0)
		return -errno;
	if ((size_t)n >= sizeof(facts.path))
		return -ENAMETOOLONG;
	*ret_facts = facts;
	return 0;
}

static int open_what(int dir, enum target_file what, uint64_t start, uint64_t len, struct message_opened *ret_facts,
		     int *ret_fd)
{
	switch (what) {
	case TARGET_EXE:
		return open_magic_link(dir, "exe", ret_facts, ret_fd);
	case TARGET_MAPPING:
		return open_mapping(dir, start, len, ret_facts, ret_fd);
	case TARGET_ENVIRON:
		return open_text(dir, "environ", ret_facts, ret_fd);
	case TARGET_CMDLINE:
		return open_text(dir, "cmdline", ret_facts, ret_fd);
	case TARGET_CGROUP:
		return open_text(dir, "cgroup", ret_facts, ret_fd);
	case TARGET_MAPS:
		return open_text(dir, "maps", ret_facts, ret_fd);
	case TARGET_NET_TCP:
		return open_text(dir, "net/tcp", ret_facts, ret_fd);
	case TARGET_NET_TCP6:
		return open_text(dir, "net/tcp6", ret_facts, ret_fd);
	case TARGET_EXE_LINK:
		return read_link(dir, "exe", ret_facts);
	case TARGET_CWD_LINK:
		return read_link(dir, "cwd", ret_facts);
	}
	return -EINVAL; /* the number came from a worker that may be anybody's by now */
}

int target_open(uint32_t tgid, enum target_file what, uint64_t start, uint64_t len, struct message_opened *ret_facts,
		int *ret_fd)
{
	_cleanup_close_ int pidfd = -1, dir = -1, fd = -1;
	struct message_opened facts;
	int r;

	r = open_process(tgid, &pidfd, &dir);
	if (r < 0)
		return r;
	r = open_what(dir, what, start, len, &facts, &fd);
	/* Gone in the meantime: whatever the reason looked like, this is it. */
	if (check_alive(pidfd) < 0)
		return -ESRCH;
	if (r < 0)
		return r;
	*ret_facts = facts;
	*ret_fd = take_fd(&fd);
	return 0;
}
