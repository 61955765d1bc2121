/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Where CPython keeps what its threads do, by minor version: Include/internal/pycore_runtime.h (_PyRuntime),
 * pycore_interp.h (PyInterpreterState), Include/cpython/pystate.h (PyThreadState, _PyStackChunk),
 * Include/internal/pycore_context.h (PyContext). Seen with 3.8.18, 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1 and 3.13.0
 * on x86-64.
 */
#ifndef SONDE_CORE_PYTHON_BPF_H
#define SONDE_CORE_PYTHON_BPF_H

#include "vmlinux.h"

struct python_layout {
	__u16 interpreter; /* in _PyRuntime: the newest interpreter */
	__u16 threads;	   /* in that: the newest of its threads */
	__u16 thread_id;   /* in that: pthread_self() */
	__u16 context;	   /* and the PyContext that it is in */
	__u16 chunk;	   /* and the newest chunk of its frames, 0 = older versions have them elsewhere */
};

#define PYTHON_NEXT 8	  /* in PyThreadState: the next older one */
#define PYTHON_OUTSIDE 16 /* in PyContext: the one that it was entered from */
#define PYTHON_OLDER 0	  /* in _PyStackChunk: the older one */

#define PYTHON_LAYOUTS 8 /* a power of two */

static const volatile struct python_layout python_layouts[PYTHON_LAYOUTS] = {
	{ 32, 8, 176, 240 },	      /* 3.8 */
	{ 32, 8, 176, 240 },	      /* 3.9 */
	{ 32, 8, 176, 240 },	      /* 3.10 */
	{ 40, 16, 152, 224, 296 },    /* 3.11 */
	{ 40, 72, 136, 208, 232 },    /* 3.12 */
	{ 632, 7344, 152, 208, 232 }, /* 3.13 */
};

#endif
