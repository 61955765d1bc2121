/* SPDX-License-Identifier: Apache-2.0 */
#include "export/curl.h"

#include <dlfcn.h>
#include <stdbool.h>

#include "util/code_pages.h"

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
	code_pages_give_back();
	loaded = true; /* and never closed: TLS libraries leave handlers behind that run at exit */
	return &api;
}
