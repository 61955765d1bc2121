/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring twice: laid out by hand in a file, for what a kernel does not do on demand (busy and discarded records,
 * every position of the end of the ring), and a real one that a BPF program fills, where the machine lets us have one.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>
#include <linux/bpf.h>

#include "source/ringbuf.h"

#define RING (1u << 20)

struct ring {
	int fd;
	char *p; /* consumer page, producer page, data twice */
	size_t page;
	unsigned long head;
	struct source *source;
	uint64_t next, taken; /* next value to write; how many were read, in order */
	int refuse;	      /* answer to give instead of taking */
	bool die;	      /* with the record in hand */
};

static int take(void *context, const void *data, size_t size)
{
	struct ring *r = context;
	uint64_t value;

	if (r->die)
		_exit(0);
	if (r->refuse)
		return r->refuse;
	assert_true(size >= sizeof(value));
	assert_int_equal((uintptr_t)data % 8, 0);
	memcpy(&value, data, sizeof(value));
	assert_int_equal(value, r->taken);
	for (size_t i = sizeof(value); i < size; i++)
		assert_int_equal(((const uint8_t *)data)[i], (uint8_t)(value + i));
	r->taken++;
	return 0;
}

static int setup(void **state)
{
	struct ring *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->page = (size_t)sysconf(_SC_PAGESIZE);
	r->fd = memfd_create("ring", MFD_CLOEXEC);
	assert_true(r->fd >= 0);
	assert_int_equal(ftruncate(r->fd, (off_t)(2 * r->page + 2 * RING)), 0);
	r->p = mmap(NULL, 2 * r->page + 2 * RING, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	assert_ptr_not_equal(r->p, MAP_FAILED);
	assert_int_equal(source_map(r->fd, RING, take, r, &r->source), 0);
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct ring *r = *state;

	source_free(r->source);
	munmap(r->p, 2 * r->page + 2 * RING);
	close(r->fd);
	free(r);
	return 0;
}

/* The data is there twice in a row: what is written past the end is also at the start, and the other way round. */
static void put(struct ring *r, unsigned long pos, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = (pos + i) & (RING - 1);

		r->p[2 * r->page + at] = r->p[2 * r->page + RING + at] = ((const char *)from)[i];
	}
}

static void produce(struct ring *r, uint32_t size, uint32_t flags)
{
	uint32_t header[2] = { size | flags, 0 };
	uint8_t data[8192];

	memcpy(data, &r->next, sizeof(r->next));
	for (size_t i = sizeof(r->next); i < size; i++)
		data[i] = (uint8_t)(r->next + i);
	if (!(flags & BPF_RINGBUF_DISCARD_BIT))
		r->next++;
	put(r, r->head, header, sizeof(header));
	put(r, r->head + sizeof(header), data, size);
	r->head += (sizeof(header) + size + 7) & ~7ul;
	__atomic_store_n((unsigned long *)(void *)(r->p + r->page), r->head, __ATOMIC_RELEASE);
}

static unsigned long consumed(const struct ring *r)
{
	return *(const unsigned long *)(const void *)r->p;
}

static void test_order_over_many_turns(void **state)
{
	struct ring *r = *state;

	/* odd sizes: the end of the ring and of the window fall on every place of a record */
	for (uint32_t i = 0; i < 20000; i++) {
		produce(r, 8 + i * 7 % 5300, 0);
		if (i % 3 == 2)
			assert_int_equal(source_poll(r->source, 100), 3);
	}
	assert_true(source_poll(r->source, 100) >= 0);
	assert_int_equal(r->taken, 20000);
	assert_int_equal(consumed(r), r->head);
}

static void test_empty_and_bounded(void **state)
{
	struct ring *r = *state;

	assert_int_equal(source_poll(r->source, 10), 0);
	for (int i = 0; i < 25; i++)
		produce(r, 64, 0);
	assert_int_equal(source_poll(r->source, 10), 10);
	assert_int_equal(source_poll(r->source, 10), 10);
	assert_int_equal(source_poll(r->source, 10), 5);
}

static void test_busy_record_waits(void **state)
{
	struct ring *r = *state;
	unsigned long at;
	uint32_t size = 40;

	produce(r, 40, 0);
	at = r->head;
	produce(r, 40, BPF_RINGBUF_BUSY_BIT);
	produce(r, 40, 0);
	assert_int_equal(source_poll(r->source, 10), 1);
	assert_int_equal(consumed(r), at);
	put(r, at, &size, sizeof(size));
	assert_int_equal(source_poll(r->source, 10), 2);
}

static void test_discarded_record_is_skipped(void **state)
{
	struct ring *r = *state;

	produce(r, 40, 0);
	produce(r, 400, BPF_RINGBUF_DISCARD_BIT);
	produce(r, 40, 0);
	assert_int_equal(source_poll(r->source, 10), 2);
	assert_int_equal(consumed(r), r->head);
}

static void test_not_now_comes_again(void **state)
{
	struct ring *r = *state;

	produce(r, 40, 0);
	produce(r, 40, 0);
	r->refuse = -EAGAIN;
	assert_int_equal(source_poll(r->source, 10), 0);
	assert_int_equal(source_poll(r->source, 10), 0);
	assert_int_equal(consumed(r), 0);
	r->refuse = 0;
	assert_int_equal(source_poll(r->source, 10), 2);
}

static void test_error_ends_the_poll(void **state)
{
	struct ring *r = *state;

	produce(r, 40, 0);
	r->refuse = -EIO;
	assert_int_equal(source_poll(r->source, 10), -EIO);
	assert_int_equal(consumed(r), r->head);
}

static void test_impossible_size(void **state)
{
	struct ring *r = *state;
	uint32_t header[2] = { 0x3fffffff, 0 };

	produce(r, 40, 0);
	put(r, 0, header, sizeof(header));
	assert_int_equal(source_poll(r->source, 10), -EMSGSIZE);
	assert_int_equal(r->taken, 0);
}

/* Resident memory is the window, not the ring: libbpf's mapping of the same ring costs twice its size. */
static void test_window_is_small(void **state)
{
	enum { BIG = 64 << 20 };
	int fd = memfd_create("big", MFD_CLOEXEC);
	size_t page = (size_t)sysconf(_SC_PAGESIZE), mapped = 0;
	struct source *s;
	FILE *maps;
	char line[512];

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)(2 * page + 2ul * BIG)), 0);
	assert_int_equal(source_map(fd, BIG, take, NULL, &s), 0);
	assert_int_equal(pwrite(fd, &(unsigned long){ 16 }, sizeof(long), (off_t)page), sizeof(long));
	assert_int_equal(pwrite(fd, &(uint32_t){ BPF_RINGBUF_DISCARD_BIT | 8 }, 4, (off_t)(2 * page)), 4);
	assert_int_equal(source_poll(s, 10), 0);
	maps = fopen("/proc/self/maps", "r");
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end;

		if (strstr(line, "memfd:big") && sscanf(line, "%lx-%lx", &start, &end) == 2)
			mapped += end - start;
	}
	fclose(maps);
	assert_true(mapped > 0 && mapped <= (1u << 20));
	source_free(s);
	close(fd);
}

/* A socket filter that writes the length and the first bytes of its packet, as read from the context, to the ring. */
static int load_writer(int ring)
{
	struct bpf_insn code[] = {
		{ .code = BPF_LDX | BPF_MEM | BPF_W,
		  .dst_reg = 2,
		  .src_reg = 1,
		  .off = offsetof(struct __sk_buff, len) },
		{ .code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = 10, .src_reg = 2, .off = -8 },
		{ .code = BPF_LD | BPF_IMM | BPF_DW, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = ring },
		{ 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = 2, .src_reg = 10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = 2, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 4, .imm = BPF_RB_NO_WAKEUP },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_ringbuf_output },
		{ .code = BPF_JMP | BPF_EXIT },
	};

	return bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "writer", "GPL", code, sizeof(code) / sizeof(code[0]), NULL);
}

static int take_lengths(void *context, const void *data, size_t size)
{
	uint64_t value, *sum = context;

	assert_int_equal(size, 8);
	memcpy(&value, data, 8);
	assert_int_equal(value, *sum % 100); /* without the Ethernet header, in the order in which they ran */
	++*sum;
	return 0;
}

static void test_real_ring(void **state)
{
	int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "test", 0, 0, 4096, NULL);
	int prog = ring < 0 ? -1 : load_writer(ring);
	uint64_t runs = 0, sum = 0;
	struct source *s;
	char packet[200] = { 0 };

	(void)state;
	if (prog < 0)
		skip(); /* no privilege to load BPF programs here */
	assert_int_equal(source_new(prog, take_lengths, &sum, &s), -EINVAL);
	assert_int_equal(source_new(ring, take_lengths, &sum, &s), 0);
	for (int round = 0; round < 60; round++) { /* ten times around */
		for (int i = 0; i < 50; i++, runs++) {
			LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = 14 + runs % 100);

			assert_int_equal(bpf_prog_test_run_opts(prog, &opts), 0);
			assert_int_equal(opts.retval, 0); /* ringbuf_output: 0, or -EAGAIN when full */
		}
		assert_int_equal(source_poll(s, 1000), 50);
	}
	assert_int_equal(sum, runs);
	source_free(s);
	close(ring);
	close(prog);
}

static void test_not_a_map(void **state)
{
	struct source *s = NULL;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_true(source_new(fd, take, NULL, &s) < 0);
	assert_true(source_new(-1, take, NULL, &s) < 0);
	assert_null(s);
	close(fd);
}

/* What a worker died with is not taken again; what it had not begun, or had done with, is. */
static void test_in_a_dead_worker_s_hand(void **state)
{
	struct ring *r = *state;
	int status;
	pid_t child;

	produce(r, 16, 0);
	assert_int_equal(source_poll(r->source, 10), 1);
	produce(r, 16, 0);
	produce(r, 16, 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		r->die = true;
		source_poll(r->source, 10);
		_exit(1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	source_free(r->source);
	r->source = NULL;
	assert_int_equal(source_map(r->fd, RING, take, r, &r->source), 0);
	r->taken++; /* the one that is skipped */
	assert_int_equal(source_poll(r->source, 10), 2);
	assert_int_equal(r->taken, 3);
	source_free(r->source);
	r->source = NULL;
	assert_int_equal(source_map(r->fd, RING, take, r, &r->source), 0);
	produce(r, 16, 0);
	assert_int_equal(source_poll(r->source, 10), 1);
	assert_int_equal(r->taken, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order_over_many_turns, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_and_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_busy_record_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_discarded_record_is_skipped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_now_comes_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_error_ends_the_poll, setup, teardown),
		cmocka_unit_test_setup_teardown(test_impossible_size, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_a_dead_worker_s_hand, setup, teardown),
		cmocka_unit_test(test_window_is_small),
		cmocka_unit_test(test_real_ring),
		cmocka_unit_test(test_not_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
