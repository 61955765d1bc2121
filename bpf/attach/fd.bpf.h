/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/* From a descriptor of the current process to its socket. */
#ifndef SONDE_ATTACH_FD_BPF_H
#define SONDE_ATTACH_FD_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#define S_IFMT 00170000
#define S_IFSOCK 0140000

static __always_inline struct file *fd_file(int fd)
{
	struct task_struct *t = (struct task_struct *)bpf_get_current_task();
	struct fdtable *table = BPF_CORE_READ(t, files, fdt);
	struct file **files, *file = NULL;

	if (fd < 0 || (unsigned int)fd >= BPF_CORE_READ(table, max_fds))
		return NULL;
	files = BPF_CORE_READ(table, fd);
	if (bpf_probe_read_kernel(&file, sizeof(file), files + fd))
		return NULL;
	return file;
}

/* Address of the struct sock of a file, and the inode of its socket. False: no socket. */
static __always_inline int file_socket(struct file *file, __u64 *ret_sk, __u64 *ret_ino)
{
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	struct socket *socket;

	if ((BPF_CORE_READ(inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	*ret_sk = (__u64)BPF_CORE_READ(socket, sk);
	*ret_ino = BPF_CORE_READ(inode, i_ino);
	return *ret_sk != 0;
}

static __always_inline int fd_socket(int fd, __u64 *ret_sk, __u64 *ret_ino)
{
	struct file *file = fd_file(fd);

	return file && file_socket(file, ret_sk, ret_ino);
}

#endif
