/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/held.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probed.h"
#include "sonde.skel.h"

static int hold(struct held_fd *list, size_t *n, size_t max, const char *name, int fd)
{
	if (fd < 0) /* not loaded on this kernel */
		return 0;
	if (*n == max || strlen(name) >= HELD_NAME_MAX)
		return -ENOSPC;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	list[*n].fd = fd;
	snprintf(list[*n].name, sizeof(list[*n].name), "%s", name);
	(*n)++;
	return 0;
}

/* The variables of one section. The kernel's map of them is of whole pages. */
static int share(const struct bpf_map *map, void *ret, size_t *ret_size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), size = (bpf_map__value_size(map) + page - 1) / page * page;
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, bpf_map__fd(map), 0);

	if (p == MAP_FAILED)
		return -errno;
	memcpy(ret, &p, sizeof(p));
	*ret_size = size;
	return 0;
}

int held_take(struct held *h, const struct sonde_bpf *object)
{
	struct bpf_program *prog;
	const struct bpf_map *map;
	int r = 0;

	*h = (struct held){ 0 };
	bpf_object__for_each_map(map, object->obj)
	{
		if (r == 0)
			r = hold(h->maps, &h->maps_n, HELD_MAPS_MAX, bpf_map__name(map), bpf_map__fd(map));
	}
	bpf_object__for_each_program(prog, object->obj)
	{
		if (r == 0)
			r = hold(h->programs, &h->programs_n, HELD_PROGRAMS_MAX, bpf_program__name(prog),
				 bpf_program__fd(prog));
	}
	if (r == 0)
		r = share(object->maps.bss, &h->bss, &h->bss_size);
	if (r == 0)
		r = share(object->maps.data, &h->data, &h->data_size);
	if (r < 0)
		held_drop(h);
	return r;
}

void held_drop(struct held *h)
{
	for (size_t i = 0; i < h->maps_n; i++)
		close(h->maps[i].fd);
	for (size_t i = 0; i < h->programs_n; i++)
		close(h->programs[i].fd);
	if (h->bss)
		munmap(h->bss, h->bss_size);
	if (h->data)
		munmap(h->data, h->data_size);
	*h = (struct held){ 0 };
}

static int find(const struct held_fd *list, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(list[i].name, name) == 0)
			return list[i].fd;
	return -1;
}

int held_map(const struct held *h, const char *name)
{
	return find(h->maps, h->maps_n, name);
}

int held_program(const struct held *h, const char *name)
{
	return find(h->programs, h->programs_n, name);
}
