/* SPDX-License-Identifier: Apache-2.0 */
/* What a Python program is called: the application that a server or Celery runs, or the script or module. Pure. */
#ifndef SONDE_TARGET_PYTHON_H
#define SONDE_TARGET_PYTHON_H

#include "target/application.h"
#include "target/args.h"

/* a stands behind the interpreter's own name. Empty: nothing to name it by. */
struct bytes application_python(const struct application_input *in, struct args a);
struct bytes application_uwsgi(const struct application_input *in, struct args a);

#endif
