/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Tasks of asyncio that work for another. A task may leave a part of its work to one that it starts and waits for
 * (asyncio.gather, wait_for, a TaskGroup; Starlette's BaseHTTPMiddleware, whose endpoints run in such a task): what
 * that asks is asked for the request that the first answers, and so is what is answered by it.
 *
 * Who waits is told by what a task calls when it is done, of which asyncio keeps the list. How the objects are laid
 * out: core/python.bpf.h.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

#include "core/core.bpf.h"
#include "core/python.bpf.h"
#include "maps.bpf.h"

#define PYTHON_COLLECTED 16    /* before an object: a head by which the garbage collector finds it */
#define PYTHON_BEFORE 8	       /* in that, behind the head of the next: that of the object before it, with two flags */
#define PYTHON_TYPE_SIZE 32    /* in a type: the size of its objects */
#define PYTHON_ITEMS 16	       /* in a list or a tuple: how many items it has */
#define PYTHON_PARTIAL 24      /* in a functools.partial: the arguments, a tuple */
#define PYTHON_SLOTS 16	       /* in an object with __slots__: their values */
#define PYTHON_DICT_KEYS 32    /* in a dict: its table; 3.8 to 3.10: */
#define PYTHON_KEYS_SIZE 8     /* in that: how many indices, of one byte where they are few */
#define PYTHON_KEYS_INDICES 40 /* and where they begin; behind them are the entries */
#define PYTHON_KEY_ENTRY 24    /* the size of one */
#define PYTHON_ENTRY_VALUE 16  /* in one */

#define NEAR_CONTEXT 24
#define TASK_LEVELS 12	/* each BaseHTTPMiddleware is one */
#define TASK_CELLS 6	/* of the functions of gather, wait, shield and anyio */
#define GROUP_FIELDS 5	/* the first of a TaskGroup, which has no fewer */
#define GROUP_SCOPE 3	/* in the order of their names: anyio's CancelScope, or the next, */
#define GROUP_PARENT 5	/* and from here on asyncio's _parent_task */
#define SCOPE_FIELDS 12 /* and of anyio's CancelScope */

#define NAMED(a, b, c, d, e, f, g, h)                                                                               \
	((__u64)(a) | (__u64)(b) << 8 | (__u64)(c) << 16 | (__u64)(d) << 24 | (__u64)(e) << 32 | (__u64)(f) << 40 | \
	 (__u64)(g) << 48 | (__u64)(h) << 56)
#define NAMED_TASK NAMED('.', 'T', 'a', 's', 'k', 0, 0, 0)
#define NAMED_TASK_BYTES 0xffffffffffffULL
#define NAMED_GATHERING NAMED('_', 'G', 'a', 't', 'h', 'e', 'r', 'i')
#define NAMED_PARTIAL NAMED('f', 'u', 'n', 'c', 't', 'o', 'o', 'l')
#define NAMED_FUNCTION NAMED('f', 'u', 'n', 'c', 't', 'i', 'o', 'n')
#define NAMED_METHOD NAMED('m', 'e', 't', 'h', 'o', 'd', 0, 0)
#define NAMED_METHOD_BYTES 0xffffffffffffffULL
#define NAMED_SCOPE NAMED('C', 'a', 'n', 'c', 'e', 'l', 'S', 'c')
#define NAMED_GROUP NAMED('T', 'a', 's', 'k', 'G', 'r', 'o', 'u')

/* A word of the process, 0 where there is none: without a branch, which the verifier would walk. */
static __always_inline __u64 peek(__u64 at)
{
	__u64 word;

	bpf_probe_read_user(&word, sizeof(word), (void *)at);
	return word;
}

/* The first letters of the name of an object's type. */
static __always_inline __u64 type_named(__u64 object)
{
	return peek(peek(peek(object + PYTHON_TYPE) + PYTHON_TYPE_NAME));
}

static __always_inline int is_task(const struct proc *p, __u64 object)
{
	__u64 type = peek(object + PYTHON_TYPE);

	return type && type == p->task_type;
}

/* The same when the type of tasks is not known yet: by its name. */
static __always_inline int may_be_task(const struct proc *p, __u64 object)
{
	__u64 name;

	if (p->task_type)
		return is_task(p, object);
	name = peek(peek(object + PYTHON_TYPE) + PYTHON_TYPE_NAME);
	return peek(name) == PYTHON_NAMED_ASYNCIO && (peek(name + sizeof(name)) & NAMED_TASK_BYTES) == NAMED_TASK;
}

static __always_inline int runs_in(const struct proc *p, __u64 task, __u32 at, __u64 context)
{
	return may_be_task(p, task) && peek(task + at) == context;
}

/*
 * The task that runs in a context, 0 = not found. Of the two only the task knows the other; but it makes its context
 * right after itself, so it is the one before in the garbage collector's list, and once that has put its lists in order
 * often the one after. Later it may be far; by then the task is known, if it has asked before. So who answers is told
 * in the same way as it was when that asked.
 *
 * task: which it may be, 0 = not known.
 */
__noinline __u64 task_of_context(struct proc *p, __u64 context, __u32 at, __u64 task)
{
	struct strand_key key = { .strand = context };
	__u64 *known, before, after;
	int i;

	if (!p || !context)
		return 0;
	key.tgid = bpf_get_current_pid_tgid() >> 32;
	if (peek(task + at) == context)
		goto found;
	known = bpf_map_lookup_elem(&strands, &key);
	task = known ? *known : 0;
	if (runs_in(p, task, at, context))
		return task;
	before = after = context - PYTHON_COLLECTED;
	for (i = 0; i < NEAR_CONTEXT; i++) {
		before = peek(before + PYTHON_BEFORE) & ~3ULL;
		task = before + PYTHON_COLLECTED;
		if (peek(task + at) == context)
			goto found;
		after = peek(after) & ~3ULL;
		task = after + PYTHON_COLLECTED;
		if (peek(task + at) == context)
			goto found;
	}
	return 0;
found:
	if (!runs_in(p, task, at, context))
		return 0;
	p->task_type = peek(task + PYTHON_TYPE);
	bpf_map_update_elem(&strands, &key, &task, BPF_ANY);
	return task;
}

/* The task that a callback of a Future wakes. No other callback has a task in these places. */
static __always_inline __u64 task_woken(const struct proc *p, __u64 callback)
{
	__u64 task = peek(callback + PYTHON_METHOD_SELF);

	if (!is_task(p, task))
		task = peek(callback + PYTHON_WAKEUP_TASK);
	return is_task(p, task) ? task : 0;
}

/*
 * The task that awaits an object, if that is a Future: what it calls first wakes it. Of asyncio.shield() that is a
 * function, and what wakes the task is behind it.
 */
static __always_inline __u64 task_awaiting(const struct proc *p, __u64 object)
{
	__u64 name = type_named(object), callback = peek(object + PYTHON_CALLBACK), list;

	if (name != PYTHON_NAMED_ASYNCIO && name != NAMED_GATHERING)
		return 0;
	if (type_named(callback) == NAMED_FUNCTION) {
		list = peek(object + PYTHON_CALLBACKS);
		list = peek(list + PYTHON_ITEMS) ? peek(peek(list + PYTHON_LIST_ITEMS)) : 0;
		callback = list ? peek(list + python_tuple_items(p)) : 0;
	}
	return task_woken(p, callback);
}

/*
 * Where the first attribute of an object is, and from each to the next. Of 3.8 to 3.10 its dict may have a table of its
 * own, of keys and values: that of a class of which one object has lost an attribute.
 */
static __always_inline __u64 attributes(__u64 object, __u32 values, __u64 *ret_step)
{
	__u64 at = python_values(object, values);

	*ret_step = sizeof(at);
	if (at || values != PYTHON_IN_DICT)
		return at;
	at = peek(peek(object + PYTHON_DICT) + PYTHON_DICT_KEYS);
	if (!at)
		return 0;
	*ret_step = PYTHON_KEY_ENTRY;
	return at + PYTHON_KEYS_INDICES + peek(at + PYTHON_KEYS_SIZE) + PYTHON_ENTRY_VALUE;
}

/*
 * The task that has entered a TaskGroup: asyncio's has it in an attribute, anyio's in one of them, a CancelScope (with
 * __slots__ in newer versions). Where it takes in connections it answers none of their requests.
 */
static __always_inline __u64 task_of_group(const struct proc *p, __u64 group, __u32 values)
{
	__u64 step, at = attributes(group, values, &step), scope = peek(at), object;
	int i;

	if (!at || p->groups_shared)
		return 0;
	if (python_named_fields(p)) {
		scope = peek(at + GROUP_SCOPE * sizeof(at));
		if (type_named(scope) != NAMED_SCOPE)
			scope = peek(at + (GROUP_SCOPE + 1) * sizeof(at));
		at += GROUP_PARENT * sizeof(at);
	}
	for (i = 0; i < GROUP_FIELDS + SCOPE_FIELDS; i++) {
		if (i == GROUP_FIELDS) {
			at = scope + PYTHON_SLOTS;
			step = sizeof(at);
			if (peek(peek(scope + PYTHON_TYPE) + PYTHON_TYPE_SIZE) <
			    PYTHON_SLOTS + SCOPE_FIELDS * sizeof(at))
				at = attributes(scope, values, &step);
		}
		object = peek(at);
		if (is_task(p, object))
			return object;
		at += step;
	}
	return 0;
}

/*
 * The task for which a callback of another is called, 0 = none that is known. Of a function of gather, wait, shield or
 * anyio the variables that it shares tell. One function: those that call it are as deep as they may be.
 */
__noinline __u64 task_called_back(struct proc *p, __u64 callback, __u32 values, __u32 closure)
{
	__u64 name = type_named(callback), group = 0, at, object, task, cells;
	int i;

	if (!p)
		return 0;
	if ((name & NAMED_METHOD_BYTES) == NAMED_METHOD) {
		object = peek(callback + PYTHON_METHOD_SELF);
		if (type_named(object) == NAMED_GROUP)
			group = object;
	}
	if (name == NAMED_PARTIAL) /* wait_for() before 3.12 */
		return task_awaiting(p, peek(peek(callback + PYTHON_PARTIAL) + python_tuple_items(p)));
	if (name != NAMED_FUNCTION && !group)
		return task_woken(p, callback);
	at = group ? 0 : peek(callback + closure);
	cells = at ? peek(at + PYTHON_ITEMS) : 0;
	for (i = 0; i < TASK_CELLS; i++) {
		if (i >= cells)
			break;
		object = peek(peek(at + python_tuple_items(p) + i * sizeof(object)) + PYTHON_CELL);
		if (type_named(object) == NAMED_GROUP) {
			group = object;
			break;
		}
		task = task_awaiting(p, object);
		if (task)
			return task;
	}
	return group ? task_of_group(p, group, values) : 0;
}

/* The task that waits for the end of another; it may be its first callback, or the first after that. */
static __always_inline __u64 task_above(struct proc *p, __u64 task, __u32 values, __u32 closure)
{
	__u64 above = task_called_back(p, peek(task + PYTHON_CALLBACK), values, closure), list;

	if (above)
		return above;
	list = peek(task + PYTHON_CALLBACKS);
	list = peek(list + PYTHON_ITEMS) ? peek(peek(list + PYTHON_LIST_ITEMS)) : 0;
	return list ? task_called_back(p, peek(list + python_tuple_items(p)), values, closure) : 0;
}

__noinline __u64 strand_above(__u32 tgid, __u64 strand, __u64 task)
{
	struct proc *p = bpf_map_lookup_elem(&procs, &tgid);
	const volatile struct python_layout *l = python_layout(p);
	__u64 context = strand_address(strand), above, root;
	int i;

	if (!p || !l || !strand)
		return strand;
	task = task_of_context(p, context, l->task_context, task);
	if (!task)
		return strand;
	for (i = 0; i < TASK_LEVELS; i++) {
		above = task_above(p, task, l->values, l->closure);
		if (!above || above == task)
			break;
		task = above;
	}
	root = peek(task + l->task_context);
	if (!root || peek(root + PYTHON_TYPE) != peek(context + PYTHON_TYPE))
		return strand;
	return strand_number(tgid, root >> 4 & STRAND_ADDRESS);
}
