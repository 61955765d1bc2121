/* SPDX-License-Identifier: Apache-2.0 */
/* The BPF object: configured, loaded and attached with the best backend that works. */
#ifndef SONDE_KEEPER_LOADER_H
#define SONDE_KEEPER_LOADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "keeper/backend.h"
#include "probed.h"

struct config;
struct loader;

/*
 * Loads and attaches. backend NULL: the best that works. Negative errno with the reason in why (plain words) on
 * failure. The calling process is never observed, nor are its children.
 */
int loader_start(const struct config *cfg, const struct backend *backend, struct loader **ret, char *why,
		 size_t why_size);
/* The same without what is the same for every backend (libraries): is this one possible? */
int loader_try(const struct config *cfg, const struct backend *backend, struct loader **ret, char *why,
	       size_t why_size);
/* Ends all links and frees. NULL is allowed. */
void loader_free(struct loader *l);
/*
 * In a child that needs none of it: closes the child's descriptors of programs and maps. All of it goes on for the
 * parent; l is of no more use here.
 */
void loader_forget(struct loader *l);
/* Ends what sees sockets and processes: from here on nothing new is counted. */
void loader_stop_observing(struct loader *l);

const struct backend *loader_backend(const struct loader *l);
bool loader_has(const struct loader *l, const char *program); /* attached, or ready to be (library programs) */
bool loader_uprobe_multi(const struct loader *l);
const char *
loader_no_libraries(const struct loader *l); /* why the kernel refuses to have them probed; empty: it does not */
int loader_ring_fd(const struct loader *l);
int loader_histograms_fd(const struct loader *l);
int loader_counters_fd(const struct loader *l);
/* The descriptor of a program of library_programs; -1: it is not loaded. */
int loader_program(const struct loader *l, const char *program);
/* A new worker: it must be told of every connection and key again. */
void loader_next_generation(struct loader *l);
/* Ends exchanges of connections that went quiet; every second. */
void loader_sweep(struct loader *l);
/* PROBED_FILES_MAX of them, shared with the kernel side. */
struct probed_file *loader_probed(struct loader *l);

/* What a process counts under. *ret_service is what it has afterwards. Keeps the number of one that has one already. */
int loader_seed_process(struct loader *l, uint32_t tgid, uint32_t service, uint32_t *ret_service);
/* Sonde's own processes cannot be changed. */
int loader_set_process(struct loader *l, uint32_t tgid, bool ignore);

/* The process has strands. Its number is the worker's word: what it makes the kernel side read is checked there. */
struct message_strands;
int loader_set_strands(struct loader *l, const struct message_strands *m);

/* One open socket of some process; the layout of struct socket_record in bpf/attach/lifecycle.bpf.c. */
struct message_socket;
typedef void loader_socket_fn(void *context, const struct message_socket *socket);
int loader_sockets(struct loader *l, loader_socket_fn *fn, void *context);
/* Kernel memory of the maps, in bytes, as the kernel counts it. At most: it does not count what is used. */
uint64_t loader_map_bytes(const struct loader *l, bool *ret_at_most);

#endif
