/* SPDX-License-Identifier: Apache-2.0 */
#include "export/curl.h"

#include <dlfcn.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Was its code written to when it was loaded? */
static bool has_text_relocations(const struct dl_phdr_info *info)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);

		if (info->dlpi_phdr[i].p_type != PT_DYNAMIC)
			continue;
		for (; d->d_tag != DT_NULL; d++)
			if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
				return true;
	}
	return false;
}

/*
 * Loading and starting some thirty libraries touches megabytes of their code and constants that are never needed again.
 * What is not writable is as it is in the file: pages given back are read again when they are used, from the page
 * cache.
 */
static int give_back(struct dl_phdr_info *info, size_t size, void *context)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	(void)size;
	(void)context;
	if (!strchr(info->dlpi_name, '/') || has_text_relocations(info)) /* no name: the program itself, the vDSO */
		return 0;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t from = info->dlpi_addr + p->p_vaddr, to = from + p->p_memsz;

		if (p->p_type != PT_LOAD || (p->p_flags & PF_W))
			continue;
		from &= ~(page - 1);
		to = (to + page - 1) & ~(page - 1);
		madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

const struct curl_api *curl_load(const char **ret_error)
{
	static struct curl_api api;
	static bool loaded;
	void *library;

	if (loaded)
		return &api;
	library = dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		*ret_error = "libcurl.so.4 is not installed, and sending needs it: apt-get install libcurl4";
		return NULL;
	}
#define X(name)                                                                     \
	*(void **)&api.name = dlsym(library, "curl_" #name);                        \
	if (!api.name) {                                                            \
		*ret_error = "libcurl.so.4 is too old: it has no curl_" #name "()"; \
		dlclose(library);                                                   \
		return NULL;                                                        \
	}
	CURL_FUNCTIONS(X)
#undef X
	if (api.global_init(CURL_GLOBAL_DEFAULT)) {
		*ret_error = "libcurl could not be initialised";
		dlclose(library);
		return NULL;
	}
	dl_iterate_phdr(give_back, NULL);
	loaded = true; /* and never closed: TLS libraries leave handlers behind that run at exit */
	return &api;
}
