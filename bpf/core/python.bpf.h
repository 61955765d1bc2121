/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Where CPython keeps what its threads do, by minor version: Include/internal/pycore_runtime.h (_PyRuntime),
 * pycore_interp.h (PyInterpreterState), Include/cpython/pystate.h (PyThreadState, _PyCFrame, _PyStackChunk),
 * Include/internal/pycore_frame.h (_PyInterpreterFrame; before 3.11 Include/cpython/frameobject.h),
 * Include/internal/pycore_context.h (PyContext), Modules/_asynciomodule.c (FutureObj), Lib/concurrent/futures.
 * Instance attributes: Include/internal/pycore_object.h (_PyObject_ValuesPointer and what followed it). Seen
 * with 3.8.18, 3.9.18, 3.10.13, 3.11.2, 3.11.7, 3.12.1, 3.13.0, 3.13.5, 3.14.10 and 3.15.2 on x86-64.
 */
#ifndef SONDE_CORE_PYTHON_BPF_H
#define SONDE_CORE_PYTHON_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "proc.h"

struct python_layout {
	__u16 interpreter;  /* in _PyRuntime: the newest interpreter */
	__u16 threads;	    /* in that: the newest of its threads */
	__u16 thread_id;    /* in that: pthread_self() */
	__u16 context;	    /* and the PyContext that it is in */
	__u16 chunk;	    /* and the newest chunk of its frames, 0 = older versions have them elsewhere */
	__u16 frames;	    /* and the frame that runs; where there is a _PyCFrame, that */
	__u16 frame;	    /* in that: the frame that runs; PYTHON_NO_CFRAME: there is none */
	__u16 back;	    /* in a frame: the one that called it */
	__u16 locals;	    /* in a frame: its local variables */
	__u16 values;	    /* before an object: where the values of its attributes are; or PYTHON_IN_... */
	__u16 closure;	    /* in a function: the cells of the variables that it shares, a tuple */
	__u16 task_context; /* in a Task of _asyncio: the PyContext that it runs in */
};

#define PYTHON_NO_CFRAME 0xffff
#define PYTHON_IN_OBJECT 0    /* they are in it */
#define PYTHON_IN_DICT 0xffff /* they are in its dict */

#define PYTHON_TYPE 8	      /* in every object: its type */
#define PYTHON_TYPE_NAME 24   /* in a type: its name */
#define PYTHON_CALLBACK 24    /* in a Future of _asyncio: fut_callback0, what is called when it is done */
#define PYTHON_AWAITER 32     /* and fut_context0, the context of that. Pairs of the two are laid out in the same way */
#define PYTHON_METHOD_SELF 24 /* in a method, of C or of Python */
#define PYTHON_WAKEUP_TASK 16 /* in what 3.8 and 3.9 have instead, to wake a task */
#define PYTHON_NEXT 8	      /* in PyThreadState: the next older one */
#define PYTHON_OUTSIDE 16     /* in PyContext: the one that it was entered from */
#define PYTHON_OLDER 0	      /* in _PyStackChunk: the older one */

#define PYTHON_CALLBACKS 40 /* and fut_callbacks, a list of pairs of the others and their contexts */

/* Attributes of an object are in the order in which they are first set, and from 3.14 on in that of their names. */
#define PYTHON_INLINE 24      /* PYTHON_IN_OBJECT: behind its head, and a head of the values */
#define PYTHON_DICT 16	      /* PYTHON_IN_DICT: where the object has that */
#define PYTHON_DICT_VALUES 40 /* and that the values, in the order of the keys */
#define PYTHON_ITEM_FUTURE 0  /* _WorkItem.future */
#define PYTHON_LIST_ITEMS 24  /* in a list: the place of its items */
#define PYTHON_CELL 16	      /* in a cell: the variable */
#define PYTHON_NAMED_MINOR 14 /* the first that has them by their names */
#define PYTHON_TAGS 7ULL      /* in a frame's variables, from 3.14 on: bits of an address that say who owns it */

#define PYTHON_NAMED_ASYNCIO 0x6f69636e7973615fULL /* "_asyncio" */

#define PYTHON_LAYOUTS 8 /* a power of two */

#define STRAND_ADDRESS 0x7ffffffffffULL /* objects are 16 bytes apart; bit 0 of a parent means something else */

static const volatile struct python_layout python_layouts[PYTHON_LAYOUTS] = {
	{ 32, 8, 176, 240, 0, 24, PYTHON_NO_CFRAME, 24, 360, PYTHON_IN_DICT, 48, 128 },	      /* 3.8 */
	{ 32, 8, 176, 240, 0, 24, PYTHON_NO_CFRAME, 24, 360, PYTHON_IN_DICT, 48, 168 },	      /* 3.9 */
	{ 32, 8, 176, 240, 0, 24, PYTHON_NO_CFRAME, 24, 352, PYTHON_IN_DICT, 72, 176 },	      /* 3.10 */
	{ 40, 16, 152, 224, 296, 56, 8, 48, 72, 32, 72, 152 },				      /* 3.11 */
	{ 40, 72, 136, 208, 232, 56, 0, 8, 72, 24, 72, 152 },				      /* 3.12 */
	{ 632, 7344, 152, 208, 232, 72, PYTHON_NO_CFRAME, 8, 72, PYTHON_IN_OBJECT, 72, 136 }, /* 3.13 */
	{ 808, 7344, 152, 208, 232, 72, PYTHON_NO_CFRAME, 8, 80, PYTHON_IN_OBJECT, 72, 144 }, /* 3.14 */
	{ 936, 7336, 176, 232, 256, 72, PYTHON_NO_CFRAME, 8, 80, PYTHON_IN_OBJECT, 72, 144 }, /* 3.15 */
};

static __always_inline const volatile struct python_layout *python_layout(const struct proc *p)
{
	if (!p || p->minor < PYTHON_MINOR_MIN || p->minor > PYTHON_MINOR_MAX)
		return NULL;
	return &python_layouts[(p->minor - PYTHON_MINOR_MIN) & (PYTHON_LAYOUTS - 1)];
}

/* 16 from 3.14 on, 0 before: without a branch, which the verifier would walk. */
static __always_inline __u32 python_named_fields(const struct proc *p)
{
	return (p->minor + 16 - PYTHON_NAMED_MINOR) & 16;
}

/* In a concurrent.futures.Future, among its attributes: _done_callbacks. */
static __always_inline __u32 python_future_done(const struct proc *p)
{
	return 40 - 2 * python_named_fields(p);
}

/* In a tuple: its items. From 3.14 on its hash is before them. */
static __always_inline __u32 python_tuple_items(const struct proc *p)
{
	return 24 + python_named_fields(p) / 2;
}

static __always_inline __u64 read_word(__u64 at)
{
	__u64 word = 0;

	if (!at || bpf_probe_read_user(&word, sizeof(word), (void *)at))
		return 0;
	return word;
}

/* The first letters of the name of an object's type. */
static __always_inline __u64 python_type_named(__u64 object)
{
	return read_word(read_word(read_word(object + PYTHON_TYPE) + PYTHON_TYPE_NAME));
}

/* Where an object has the values of its attributes. */
static __always_inline __u64 python_values(__u64 object, __u32 values)
{
	__u64 at;

	if (!object)
		return 0;
	if (values == PYTHON_IN_DICT)
		return read_word(read_word(object + PYTHON_DICT) + PYTHON_DICT_VALUES);
	if (values == PYTHON_IN_OBJECT)
		return object + PYTHON_INLINE;
	at = read_word(object - values);
	return at + (at & 1); /* 3.12 takes one off, to tell it from a dict */
}

static __always_inline __u64 strand_number(__u32 tgid, __u64 n)
{
	return PARENT_STRAND | (__u64)(tgid & 0x7ffff) << STRAND_PROCESS_SHIFT | n << 1;
}

/* The object that a strand is told by. */
static __always_inline __u64 strand_address(__u64 strand)
{
	return (strand >> 1 & STRAND_ADDRESS) << 4;
}

#endif
