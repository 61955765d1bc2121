/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process runs, by its command line: an interpreter's script or module, a server's WSGI or ASGI application, a
 * Celery project, a Java main class. Answers borrow from the input, and hold nothing but letters, digits and "._-@+":
 * text that could be anything else is not taken for a name. Pure.
 */
#ifndef SONDE_TARGET_APPLICATION_H
#define SONDE_TARGET_APPLICATION_H

#include "util/bytes.h"

struct application_input {
	struct bytes exe;  /* path; " (deleted)" at its end is ignored */
	struct bytes args; /* NUL-separated, or a title that the process wrote over them */
	struct bytes env;  /* NUL-separated */
	struct bytes cwd;  /* path, empty = not known */
};

/* Its name; empty when the executable is all there is to say. */
struct bytes application_name(const struct application_input *in);
/* telemetry.sdk.language of what an executable runs, NULL when it cannot be told from its name. */
const char *application_language(struct bytes exe);

#endif
