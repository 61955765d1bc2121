/* SPDX-License-Identifier: Apache-2.0 */
/* Which libraries are worth probing, and by which of their functions. Pure: file contents in, points out. */
#ifndef SONDE_WORKER_LIBRARY_KINDS_H
#define SONDE_WORKER_LIBRARY_KINDS_H

#include <stdbool.h>
#include <stdint.h>

#include "channel/messages.h"
#include "target/jvm.h"

enum library_kind { KIND_LIBPQ, KIND_OPENSSL, KIND_UVLOOP, KIND_NODE, KIND_TOKIO, LIBRARY_KINDS };

struct library_points {
	struct message_point v[MESSAGE_POINTS_MAX];
	uint32_t n; /* 0: the file has no such library */
};

/* Opening every file that is mapped would cost more than it finds: told by names. */
bool library_worth_a_look(const char *path);
/* The functions of each kind that the ELF file has. False: of none. */
bool library_find_points(int fd, struct library_points ret[LIBRARY_KINDS]);

/* What the path of a mapped file says about the program. */
enum library_hint {
	HINT_LIBPQ = 1 << 0,	 /* it has libpq, whose calls tell its statements */
	HINT_DATABASE = 1 << 1,	 /* a database server: its clients' ends tell, if they can */
	HINT_OWN_TLS = 1 << 2,	 /* Java: TLS that cannot be read at this end */
	HINT_GREENLETS = 1 << 3, /* gevent, whose greenlets serve requests */
	HINT_UNSURE = 1 << 4,	 /* a link of its was not sure; not of a path */
};

uint8_t library_hints(const char *path);
/* A Python interpreter: where its _PyRuntime is, from where the first byte of the file would be mapped as its code is.
 */
struct library_python {
	uint32_t minor; /* of its version, 0 = it is none */
	uint64_t runtime;
};

/* False: it is one of a version that is not known, or of a special kind. */
bool library_python(int fd, const char *path, struct library_python *ret);
/* The machine of Java, where the file's name says that it is one. False: its virtual threads cannot be told apart. */
bool library_jvm(int fd, const char *path, struct jvm *ret);
/* Is it a Go program? Those bring a TLS of their own, too. ret_minor: of Go 1.minor, 0 = not known. */
bool library_is_go(int fd, uint32_t *ret_minor);
/* Where a Go program has the address of the running goroutine, from the thread pointer on. */
int64_t library_go_g(int fd);
/* Where a Rust program has the number of the task of tokio that runs, from the thread pointer on. 0: it has none, or a
 * version that is not known. */
int64_t library_tokio(int fd);

#endif
