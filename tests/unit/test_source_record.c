/* SPDX-License-Identifier: Apache-2.0 */
/* Recordings: what was written is read again, and a damaged file is an error at the right place. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "source/record.h"
#include "source/replay.h"

static struct recording_header header(void)
{
	struct recording_header h;

	recording_describe(&h, 12345);
	return h;
}

static int file(void)
{
	int fd = memfd_create("recording", MFD_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void fill(char *p, size_t n, unsigned seed)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(seed + i * 7);
}

static void test_round_trip(void **state)
{
	enum { N = 3000 };
	static char payload[RECORDING_PAYLOAD_MAX];
	struct recording_header h = header();
	struct replay_record rec;
	struct recorder *w;
	struct replay *r;
	int fd = file();

	(void)state;
	assert_int_equal(recorder_new(fd, &h, &w), 0);
	for (unsigned i = 0; i < N; i++) {
		size_t n = i % 100 == 99 ? RECORDING_PAYLOAD_MAX : i * 13 % 5000;

		fill(payload, n, i);
		assert_int_equal(recorder_add(w, RECORDING_EVENT + i % 5, i, payload, n), 0);
	}
	assert_int_equal(recorder_add(w, RECORDING_EVENT, 0, payload, RECORDING_PAYLOAD_MAX + 1), -EMSGSIZE);
	assert_int_equal(recorder_flush(w), 0);
	recorder_free(w);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(replay_new(fd, &r), 0);
	assert_memory_equal(replay_header(r), &h, sizeof(h));
	for (unsigned i = 0; i < N; i++) {
		size_t n = i % 100 == 99 ? RECORDING_PAYLOAD_MAX : i * 13 % 5000;

		assert_int_equal(replay_next(r, &rec), 1);
		fill(payload, n, i);
		assert_int_equal(rec.type, RECORDING_EVENT + i % 5);
		assert_int_equal(rec.time, i);
		assert_int_equal(rec.size, n);
		assert_int_equal((uintptr_t)rec.payload % 8, 0);
		assert_memory_equal(rec.payload, payload, n);
	}
	assert_int_equal(replay_next(r, &rec), 0);
	assert_int_equal(replay_next(r, &rec), 0);
	replay_free(r);
	close(fd);
}

static void test_header(void **state)
{
	struct recording_header h = header(), bad;
	struct replay *r = NULL;
	int fd = file();

	(void)state;
	assert_int_equal(replay_new(fd, &r), -EPROTONOSUPPORT); /* empty */
	for (size_t n = 1; n < sizeof(h); n += 9) {
		assert_int_equal(pwrite(fd, &h, n, 0), n);
		lseek(fd, 0, SEEK_SET);
		assert_int_equal(replay_new(fd, &r), -EPROTONOSUPPORT);
	}
	bad = h;
	bad.version++;
	assert_int_equal(pwrite(fd, &bad, sizeof(bad), 0), sizeof(bad));
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(replay_new(fd, &r), -EPROTO);
	bad = h;
	bad.size = 0xfffffff8;
	assert_int_equal(pwrite(fd, &bad, sizeof(bad), 0), sizeof(bad));
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(replay_new(fd, &r), -EPROTO);
	bad = h;
	memset(bad.host_name, 'x', sizeof(bad.host_name));
	assert_int_equal(pwrite(fd, &bad, sizeof(bad), 0), sizeof(bad));
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(replay_new(fd, &r), 0);
	assert_int_equal(strlen(replay_header(r)->host_name), sizeof(bad.host_name) - 1);
	replay_free(r);
	close(fd);
}

/* What a later version appends to the header is skipped. */
static void test_longer_header(void **state)
{
	struct recording_header h = header();
	struct recording_entry e = { .size = 8, .type = RECORDING_EVENT, .time = 7 };
	struct replay_record rec;
	struct replay *r;
	int fd = file();

	(void)state;
	h.size += 64;
	assert_int_equal(pwrite(fd, &h, sizeof(h), 0), sizeof(h));
	assert_int_equal(pwrite(fd, &e, sizeof(e), h.size), sizeof(e));
	assert_int_equal(pwrite(fd, "12345678", 8, h.size + sizeof(e)), 8);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(replay_new(fd, &r), 0);
	assert_int_equal(replay_next(r, &rec), 1);
	assert_int_equal(replay_offset(r), h.size);
	assert_memory_equal(rec.payload, "12345678", 8);
	replay_free(r);
	close(fd);
}

/* Says where: the offset is that of the entry that cannot be read. */
static void test_damaged(void **state)
{
	static const struct {
		struct recording_entry entry;
		size_t payload;
	} cases[] = {
		{ { .size = 100, .type = RECORDING_EVENT }, 99 },
		{ { .size = RECORDING_PAYLOAD_MAX + 1, .type = RECORDING_EVENT }, 200 },
		{ { .size = UINT32_MAX, .type = RECORDING_EVENT }, 200 },
		{ { .size = 8, .type = 0 }, 8 },
		{ { .size = 8, .type = RECORDING_READING + 1 }, 8 },
	};
	struct recording_header h = header();
	char payload[200] = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct replay_record rec;
		struct recorder *w;
		struct replay *r;
		int fd = file();

		assert_int_equal(recorder_new(fd, &h, &w), 0);
		assert_int_equal(recorder_add(w, RECORDING_EVENT, 1, "abc", 3), 0);
		assert_int_equal(recorder_flush(w), 0);
		recorder_free(w);
		assert_int_equal(write(fd, &cases[i].entry, sizeof(cases[i].entry)), sizeof(cases[i].entry));
		assert_int_equal(write(fd, payload, cases[i].payload), cases[i].payload);
		lseek(fd, 0, SEEK_SET);
		assert_int_equal(replay_new(fd, &r), 0);
		assert_int_equal(replay_next(r, &rec), 1);
		assert_int_equal(replay_next(r, &rec), -EBADMSG);
		assert_int_equal(replay_offset(r), sizeof(h) + 16 + 8);
		replay_free(r);
		close(fd);
	}
}

/* A full disk: the first failure stays, and nothing is written after it. */
static void test_write_failure(void **state)
{
	struct recording_header h = header();
	struct recorder *w = NULL;
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC), ends[2];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(recorder_new(fd, &h, &w), -ENOSPC);
	assert_null(w);
	close(fd);
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(recorder_new(ends[1], &h, &w), 0);
	for (int i = 0; i < 100; i++)
		recorder_add(w, RECORDING_EVENT, 1, &h, sizeof(h));
	while (recorder_flush(w) == 0)
		for (int i = 0; i < 100; i++)
			recorder_add(w, RECORDING_EVENT, 1, &h, sizeof(h));
	assert_int_equal(recorder_add(w, RECORDING_EVENT, 1, "x", 1), -EAGAIN);
	assert_int_equal(recorder_flush(w), -EAGAIN);
	recorder_free(w);
	close(ends[0]);
	close(ends[1]);
}

/* The machine id itself must not be in the file, and one host has one digest. */
static void test_host_id(void **state)
{
	struct recording_header a = header(), b = header();
	char id[64] = { 0 };
	int fd = open("/etc/machine-id", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_string_equal(a.host_id, b.host_id);
	if (fd < 0 || read(fd, id, 32) != 32)
		skip();
	close(fd);
	assert_int_equal(strlen(a.host_id), 32);
	assert_null(memmem(&a, sizeof(a), id, 32));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_header),
		cmocka_unit_test(test_longer_header), cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_write_failure), cmocka_unit_test(test_host_id),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
