/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
#ifndef SONDE_PROC_H
#define SONDE_PROC_H

/* What the kernel side keeps of a process, by tgid (map procs); the keeper seeds it and tells what to ignore. */

#include "types.h"

enum proc_flag {
	PROC_IGNORE = 1 << 0,
	PROC_SELF = 1 << 1,   /* Sonde: nor is the other end of what it opens observed */
	PROC_MOVES = 1 << 2,  /* its work moves between threads (Go, tokio): see bpf/core/context.bpf.c */
	PROC_SERVES = 1 << 3, /* it has read a request */
	PROC_HOPS = 1 << 4,   /* one thread asks, another reads the answer: threads are not what its work is told by */
	PROC_DATABASE = 1 << 5,	 /* it has read what a client asks a database */
	PROC_RELAYS = 1 << 6,	 /* and asks one itself: see bpf/core/relay.bpf.c */
	PROC_STREAMS = 1 << 7,	 /* it has requests that are not among those that are counted as open */
	PROC_POOLS = 1 << 8,	 /* the threads that it starts are those of pools (Java) */
	PROC_HASTENS = 1 << 9,	 /* it asks for requests of which it has only the head (HAProxy) */
	PROC_PATIENT = 1 << 10,	 /* it has waited for the body of one before it asked */
	PROC_TASKLESS = 1 << 11, /* STRAND_PYTHON: it has answered in no task, as Twisted does */
};

#define SPAN_SLICE_SHIFT 27 /* the budget of spans is given for 2^27 ns, 134 ms, at a time */

/*
 * How the logical threads of a process are told, where one of the kernel's works for many of them in turn: see
 * bpf/core/strand.bpf.c.
 */
enum strand_kind {
	STRAND_THREAD = 0,    /* its threads are all there is */
	STRAND_GO = 1,	      /* goroutines */
	STRAND_PYTHON = 2,    /* asyncio's tasks */
	STRAND_GREENLETS = 3, /* message_strands: and gevent's greenlets, in struct proc.greenlets */
	STRAND_TOKIO = 4,     /* tasks of Rust's tokio */
	STRAND_POOLS = 5,     /* message_strands: none, but PROC_POOLS */
	STRAND_JAVA = 6,      /* Java's virtual threads; others of its threads are none */
};

/* What HotSpot's virtual threads are told by, see bpf/core/strand_java.bpf.c. */
enum java_field {
	JAVA_OSTHREAD = 0, /* JavaThread (or Thread)::_osthread */
	JAVA_PTHREAD = 1,  /* OSThread::_pthread_id */
	JAVA_VTHREAD = 2,  /* JavaThread::_vthread */
	JAVA_OWNER = 3,	   /* JavaThread::_monitor_owner_id; before JDK 24 there is none */
	JAVA_FIELDS = 4,
};

#define GO_MINOR_MIN 21 /* from Go 1.21 on a goroutine says who started it */

/* Versions 3.MIN to 3.MAX of Python are known, see bpf/core/python.bpf.h. */
#define PYTHON_MINOR_MIN 8
#define PYTHON_MINOR_MAX 15

/* How long before a program is reported as running the kernel may have mapped its file. */
#define PROC_MAPPED_NS 200000000ULL

struct proc {
	__u32 service;
	__u32 flags;
	__u32 window; /* slice of time, in which it was given this many spans beyond the budget */
	__u32 extra;
	__u64 moved; /* PROC_MOVES: when it last answered by another thread than the one that read */
	__u32 open;  /* server requests that it has not answered */
	__u8 strand; /* enum strand_kind */
	__u8 minor;  /* version, of Python 3 or Go 1; 0 = not known */
	__u8 greenlets;
	__u8 groups_shared; /* STRAND_PYTHON: a TaskGroup is no one request's */
	__u32 loop;	    /* STRAND_PYTHON: thread that last answered in a task, 0 = none */
	__u32 strays;	    /* PROC_MOVES: see strand_thread_reads() */
	__u64 later;	    /* STRAND_PYTHON: strand in which its loop writes for all tasks together, as uvloop does */
	__u64 since;	    /* when it read its first request, 0 = none yet */
	__u64 began;	    /* when that began which it read last */
	__u64 last;	    /* and its id */
	__u64 lonely;	    /* STRAND_TOKIO: when a task last asked while no request was open. STRAND_JAVA: until
			       when it counts that a virtual thread did */
	__u64 context_type; /* what that is in: the type of a PyContext */
	__u64 task_type;    /* and that of a Task */
	__u64 told;	    /* when what its strands are was last told */
	__u64 strand_at;    /* STRAND_GO: where the address of g is, from the thread pointer on; modulo 2^64.
			       STRAND_TOKIO: where the number of the task is, likewise.
			       STRAND_PYTHON: address of _PyRuntime
			       STRAND_JAVA: address of the array gHotSpotVMStructs */
	__u16 java[JAVA_FIELDS];    /* STRAND_JAVA: entries of that */
	__u16 offsets[JAVA_FIELDS]; /* and what is in them, 0 = not read yet */
};

/*
 * The keeper tells of a process through a program of the kernel side (process_told), which changes the entry in place:
 * written from outside, it would take back what was learnt, or a program that began, meanwhile.
 */
struct proc_told {
	__u32 tgid;
	__u32 set, clear; /* of enum proc_flag */
	__u8 strand;	  /* enum strand_kind; STRAND_THREAD: none is told */
	__u8 minor;
	__u8 pad[2];
	__u64 strand_at;
	__u16 java[JAVA_FIELDS];
};

#endif
