/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl, opened by dlopen() when there is an endpoint to send to. Linking it would cost 5 MB of resident memory (it
 * brings TLS, Kerberos, LDAP, SSH and IDN libraries along) in every process, the privileged one too, which never sends.
 */
#ifndef SONDE_EXPORT_CURL_H
#define SONDE_EXPORT_CURL_H

#include <curl/curl.h>

/* The functions used, under their names without "curl_". */
#define CURL_FUNCTIONS(X)      \
	X(global_init)         \
	X(easy_init)           \
	X(easy_setopt)         \
	X(easy_getinfo)        \
	X(easy_strerror)       \
	X(easy_cleanup)        \
	X(slist_append)        \
	X(slist_free_all)      \
	X(multi_init)          \
	X(multi_setopt)        \
	X(multi_add_handle)    \
	X(multi_remove_handle) \
	X(multi_perform)       \
	X(multi_poll)          \
	X(multi_info_read)     \
	X(multi_cleanup)

struct curl_api {
#define X(name) __typeof__(curl_##name) *name;
	CURL_FUNCTIONS(X)
#undef X
};

/*
 * The library, loaded once for the life of the process. Call it before threads are started. NULL and a static
 * *ret_error when it is not installed or lacks something.
 */
const struct curl_api *curl_load(const char **ret_error);

#endif
