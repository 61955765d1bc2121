/* SPDX-License-Identifier: Apache-2.0 */
/* Parents and children: on a thread, over a connection of this host, late, never; and what is let go of. */
#include "parents_fixture.h"

#define TRACE "0af7651916cd43dd8448eb211c80319c"

static void children_wait(void **state)
{
	(void)state;
	sql(11, 10, 30 * MS);
	sql(12, 10, 20 * MS);
	http(13, 10, ROLE_CLIENT, 0, 25 * MS, 28 * MS);
	sql(14, 99, 20 * MS); /* of another */
	assert_int_equal(fx.n, 0);
	http(10, 0, ROLE_SERVER, 0, 10 * MS, 50 * MS);
	assert_int_equal(fx.n, 4);
	assert_int_equal(fx.groups, 1);
	assert_int_equal(fx.spans[0]->kind, SPAN_SERVER);
	assert_true(span_id_zero(&fx.spans[0]->parent));
	for (size_t i = 1; i < 4; i++) {
		assert_true(is_child(i, 0));
		assert_false(fx.spans[i]->parent_remote);
		assert_true(i == 1 || fx.spans[i]->start >= fx.spans[i - 1]->start);
	}
	assert_int_equal(fx.spans[0]->trace_flags, 3); /* sampled, and a random trace id of ours */
	sql(15, 10, 60 * MS);			       /* late */
	assert_int_equal(fx.n, 5);
	assert_int_equal(fx.groups, 2);
	assert_true(is_child(4, 0));
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 6);
	assert_int_equal(counted(USER_held_too_long), 0);
}

static void roots(void **state)
{
	(void)state;
	sql(1, 0, 0);
	sql(2, 0, MS);
	assert_int_equal(fx.groups, 2);
	assert_false(same_trace(0, 1));
	sql(3, 3, 2 * MS); /* its own parent: nonsense, but no reason to wait */
	assert_int_equal(fx.n, 3);
	assert_true(span_id_zero(&fx.spans[2]->parent));
}

static void remote_parent(void **state)
{
	char hex[33] = { 0 };

	(void)state;
	sql(11, 10, 20 * MS);
	exchange((struct exchange){ .id = 10,
				    .role = ROLE_SERVER,
				    .answer = OK,
				    .method = HTTP_GET,
				    .request = "GET / HTTP/1.1\r\ntraceparent: 00-" TRACE "-b7ad6b7169203331-01\r\n"
					       "tracestate: congo=t61\r\ntracestate: rojo=1\r\n\r\n" });
	hex_encode(hex, fx.spans[0]->trace.b, 16);
	assert_string_equal(hex, TRACE);
	hex_encode(hex, fx.spans[0]->parent.b, 8);
	assert_memory_equal(hex, "b7ad6b7169203331", 16);
	assert_true(fx.spans[0]->parent_remote);
	assert_int_equal(fx.spans[0]->trace_flags, 1); /* the sender did not say random */
	assert_true(bytes_eq(fx.spans[0]->tracestate, bytes_str("congo=t61,rojo=1")));
	assert_true(is_child(1, 0));
	assert_false(fx.spans[1]->parent_remote);
	assert_true(bytes_eq(fx.spans[1]->tracestate, bytes_str("congo=t61,rojo=1")));
}

static void unsampled_parent(void **state)
{
	(void)state;
	sql(11, 10, 20 * MS);
	exchange((struct exchange){ .id = 10,
				    .role = ROLE_SERVER,
				    .answer = OK,
				    .method = HTTP_GET,
				    .request = "GET / HTTP/1.1\r\ntraceparent: 00-" TRACE
					       "-b7ad6b7169203331-00\r\n\r\n" });
	sql(12, 10, 40 * MS);
	assert_int_equal(fx.n, 0);
	assert_int_equal(counted(USER_not_sampled), 3);
	fx.cfg.sampler = ASSEMBLY_ALWAYS_ON;
	fixture_restart();
	exchange((struct exchange){ .id = 10,
				    .role = ROLE_SERVER,
				    .answer = OK,
				    .method = HTTP_GET,
				    .request = "GET / HTTP/1.1\r\ntraceparent: 00-" TRACE
					       "-b7ad6b7169203331-00\r\n\r\n" });
	assert_int_equal(fx.n, 1);
	assert_int_equal(fx.spans[0]->trace_flags & 1, 1);
}

/* Whole traces are kept or left out, and about so many as were asked for. */
static void ratio(void **state)
{
	(void)state;
	fx.cfg.sampler = ASSEMBLY_PARENT_RATIO;
	fx.cfg.ratio = 0.25;
	fixture_restart();
	for (uint64_t i = 1; i <= 1000; i++) {
		sql(i * 10 + 1, i * 10, i * MS);
		http(i * 10, 0, ROLE_SERVER, 0, i * MS, i * MS + MS);
	}
	assert_int_equal(fx.n % 2, 0);
	assert_in_range(fx.n / 2, 180, 320);
	assert_int_equal(fx.n + counted(USER_not_sampled), 2000);
	for (size_t i = 0; i < fx.n; i += 2)
		assert_true(is_child(i + 1, i));
}

static void held_too_long(void **state)
{
	(void)state;
	sql(11, 10, 0);
	sql(12, 10, MS);
	sql(21, 20, 2 * MS);
	assembly_tick(fx.a, 50 * SECOND, OFFSET);
	assert_int_equal(fx.n, 0);
	assembly_tick(fx.a, 120 * SECOND, OFFSET);
	assert_int_equal(fx.n, 3);
	assert_int_equal(counted(USER_held_too_long), 3);
	assert_true(same_trace(0, 1)); /* still of one request */
	assert_false(same_trace(0, 2));
	for (size_t i = 0; i < 3; i++)
		assert_true(span_id_zero(&fx.spans[i]->parent));
	http(10, 0, ROLE_SERVER, 0, 0, 100 * SECOND); /* after all */
	assert_true(same_trace(0, 3));
	assert_true(span_id_zero(&fx.spans[3]->parent));
	assert_false(fx.spans[3]->parent_remote);
}

static void hold_is_bounded(void **state)
{
	(void)state;
	fx.cfg.max_held = 100;
	fixture_restart();
	for (uint64_t i = 0; i < 1000; i++)
		sql(2000 + i, 1 + i, i);
	assert_int_equal(fx.n, 900);
	assert_int_equal(counted(USER_hold_full), 900);
	assembly_flush(fx.a);
	assert_int_equal(fx.n, 1000);
}

/* nginx (1) asks gunicorn (2) over a connection of this host; gunicorn asks the database. */
static void announce_proxy(void)
{
	connect_conn((struct connect){ .conn = 1,
				       .role = ROLE_CLIENT,
				       .proto = PROTO_HTTP1,
				       .local = "127.0.0.1",
				       .remote = "127.0.0.1",
				       .local_port = 40000,
				       .remote_port = 8000,
				       .netns = 5 });
	connect_conn((struct connect){ .conn = 2,
				       .role = ROLE_SERVER,
				       .proto = PROTO_HTTP1,
				       .local = "127.0.0.1",
				       .remote = "127.0.0.1",
				       .local_port = 8000,
				       .remote_port = 40000,
				       .netns = 5 });
}

static void assert_chain(void)
{
	size_t outer = SIZE_MAX, client = SIZE_MAX, inner = SIZE_MAX, query = SIZE_MAX;

	assert_int_equal(fx.n, 4);
	for (size_t i = 0; i < 4; i++) {
		if (fx.spans[i]->kind == SPAN_SERVER && span_id_zero(&fx.spans[i]->parent))
			outer = i;
		else if (fx.spans[i]->kind == SPAN_SERVER)
			inner = i;
		else if (attrs_find(&fx.spans[i]->attrs, "db.system.name"))
			query = i;
		else
			client = i;
	}
	assert_true(is_child(client, outer));
	assert_true(is_child(inner, client));
	assert_true(is_child(query, inner));
	assert_false(fx.spans[inner]->parent_remote);
	assert_int_equal(fx.group[outer], fx.group[client]);
	assert_int_equal(fx.group[inner], fx.group[query]);
	assert_true(fx.group[inner] > fx.group[outer]);
}

static void joined_ends(void **state)
{
	(void)state;
	announce_proxy();
	sql(4, 3, 30 * MS);
	http(3, 0, ROLE_SERVER, 2, 21 * MS, 39 * MS);
	http(2, 1, ROLE_CLIENT, 1, 20 * MS, 40 * MS);
	assert_int_equal(fx.n, 0);
	http(1, 0, ROLE_SERVER, 9, 10 * MS, 50 * MS);
	assert_chain();
	for (size_t i = 0; i < 4; i++)
		if (fx.spans[i]->kind == SPAN_CLIENT && !attrs_find(&fx.spans[i]->attrs, "db.system.name"))
			assert_attr(i, "server.service.name", "shop");
}

/* The client's record first, then its parent's: the server's record comes last of all. */
static void joined_late(void **state)
{
	(void)state;
	announce_proxy();
	sql(4, 3, 30 * MS);
	http(2, 1, ROLE_CLIENT, 1, 20 * MS, 40 * MS);
	http(1, 0, ROLE_SERVER, 9, 10 * MS, 50 * MS);
	http(3, 0, ROLE_SERVER, 2, 21 * MS, 39 * MS);
	assert_chain();
}

/* Keep-alive: each server exchange belongs to the client exchange at its time. */
static void joined_in_order(void **state)
{
	(void)state;
	announce_proxy();
	for (uint64_t i = 0; i < 20; i++) {
		http(100 + i, 0, ROLE_SERVER, 2, i * MS + 100000, i * MS + 300000);
		http(200 + i, 0, ROLE_CLIENT, 1, i * MS, i * MS + 400000);
	}
	assert_int_equal(fx.n, 40);
	for (size_t i = 0; i < 40; i += 2)
		assert_true(is_child(i + 1, i));
	/* the same the other way round */
	fixture_forget();
	for (uint64_t i = 20; i < 40; i++) {
		http(200 + i, 0, ROLE_CLIENT, 1, i * MS, i * MS + 400000);
		http(100 + i, 0, ROLE_SERVER, 2, i * MS + 100000, i * MS + 300000);
	}
	for (size_t i = 0; i < 40; i += 2)
		assert_true(is_child(i + 1, i));
}

/* A proxy that asks again 20 us after an answer: the server's record comes before that of the client it belongs to. */
static void joined_to_its_own(void **state)
{
	(void)state;
	announce_proxy();
	http(200, 0, ROLE_CLIENT, 1, 10 * MS, 20 * MS);
	http(101, 0, ROLE_SERVER, 2, 20 * MS + 20000, 30 * MS);
	assert_int_equal(fx.n, 1); /* waits, and does not take the exchange before */
	http(201, 0, ROLE_CLIENT, 1, 20 * MS + 10000, 31 * MS);
	assert_int_equal(fx.n, 3);
	assert_true(is_child(2, 1));
	/* an exchange that has its server takes no second */
	http(102, 0, ROLE_SERVER, 2, 30 * MS, 31 * MS);
	assert_int_equal(fx.n, 3);
}

/* A client that gave up before its server had read the request: whichever record comes first. */
static void joined_to_one_that_left(void **state)
{
	struct exchange gave_up = { .id = 200,
				    .role = ROLE_CLIENT,
				    .conn = 1,
				    .method = HTTP_GET,
				    .start = SECOND + 10 * MS,
				    .end = SECOND + 20 * MS,
				    .flags = EXCHANGE_NO_ANSWER,
				    .request = GET };

	(void)state;
	announce_proxy();
	exchange(gave_up);
	http(101, 0, ROLE_SERVER, 2, 25 * MS, 30 * MS);
	assert_int_equal(fx.n, 2);
	assert_true(is_child(1, 0));
	fixture_forget();
	http(102, 0, ROLE_SERVER, 2, 35 * MS, 40 * MS);
	gave_up.id = 201;
	gave_up.start = SECOND + 31 * MS;
	gave_up.end = SECOND + 32 * MS;
	exchange(gave_up);
	assert_int_equal(fx.n, 2);
	assert_true(is_child(1, 0));
}

/* The kernel leaves clients' spans out under load: their servers' do not wait in a line that grows. */
static void clients_left_out(void **state)
{
	uint64_t start = 10 * MS;

	(void)state;
	announce_proxy();
	for (uint64_t i = 0; i < 3; i++, start += 2 * MS)
		http(100 + i, 0, ROLE_SERVER, 2, start, start + MS);
	assert_int_equal(fx.n, 0);
	http(200, 0, ROLE_CLIENT, 1, start, start + 2 * MS);
	assert_int_equal(fx.n, 4); /* whatever was over before this client began has none */
	http(103, 0, ROLE_SERVER, 2, start + MS / 2, start + MS);
	assert_int_equal(fx.n, 5);
	assert_true(is_child(4, 3));
	for (uint64_t i = 0; i < 40; i++, start += 2 * MS)
		http(300 + i, 0, ROLE_SERVER, 2, start, start + MS);
	assert_int_equal(fx.n, 5 + 40 - 16);
}

static void joined_by_unix_socket(void **state)
{
	(void)state;
	connect_conn(
		(struct connect){ .conn = 1, .role = ROLE_CLIENT, .path = "/run/a", .local_ino = 7, .remote_ino = 8 });
	connect_conn(
		(struct connect){ .conn = 2, .role = ROLE_SERVER, .path = "/run/a", .local_ino = 8, .remote_ino = 7 });
	http(3, 0, ROLE_SERVER, 2, 21 * MS, 39 * MS);
	http(2, 0, ROLE_CLIENT, 1, 20 * MS, 40 * MS);
	assert_true(is_child(1, 0));
}

static void joined_before_it_is_accepted(void **state)
{
	(void)state;
	connect_conn((struct connect){ .conn = 1, .role = ROLE_CLIENT, .path = "/run/a", .local_ino = 7 });
	connect_conn((struct connect){ .conn = 3, .role = ROLE_CLIENT, .path = "/run/a", .local_ino = 9 });
	connect_conn(
		(struct connect){ .conn = 2, .role = ROLE_SERVER, .path = "/run/a", .local_ino = 8, .remote_ino = 7 });
	http(3, 0, ROLE_SERVER, 2, 21 * MS, 39 * MS);
	http(4, 0, ROLE_CLIENT, 3, 20 * MS, 40 * MS);
	http(2, 0, ROLE_CLIENT, 1, 20 * MS, 40 * MS);
	assert_true(is_child(2, 1));
}

static void not_joined(void **state)
{
	(void)state;
	announce_proxy();
	/* the same addresses in another network namespace */
	connect_conn((struct connect){ .conn = 3,
				       .role = ROLE_SERVER,
				       .local = "127.0.0.1",
				       .remote = "127.0.0.1",
				       .local_port = 8000,
				       .remote_port = 40000,
				       .netns = 6 });
	http(30, 0, ROLE_SERVER, 3, 21 * MS, 39 * MS);
	assert_int_equal(fx.n, 1);
	/* not at the same time */
	http(31, 0, ROLE_SERVER, 2, 21 * MS, 39 * MS);
	http(20, 0, ROLE_CLIENT, 1, 60 * MS, 80 * MS);
	assert_int_equal(fx.n, 3); /* nor does it wait: its client's record does not come */
	assert_false(same_trace(1, 2));
	assert_int_equal(counted(USER_held_too_long), 0);
	/* what carries a traceparent belongs to whoever sent that */
	exchange((struct exchange){ .id = 32,
				    .role = ROLE_SERVER,
				    .conn = 2,
				    .answer = OK,
				    .method = HTTP_GET,
				    .request = "GET / HTTP/1.1\r\ntraceparent: 00-" TRACE
					       "-b7ad6b7169203331-01\r\n\r\n" });
	assert_int_equal(fx.n, 4);
	assert_true(fx.spans[3]->parent_remote);
}

/* Addresses of containers on this host: the namespaces differ, the addresses do not repeat. */
static void joined_between_containers(void **state)
{
	(void)state;
	connect_conn((struct connect){ .conn = 1,
				       .role = ROLE_CLIENT,
				       .local = "172.18.0.2",
				       .remote = "172.18.0.3",
				       .local_port = 40000,
				       .remote_port = 8000,
				       .netns = 5 });
	connect_conn((struct connect){ .conn = 2,
				       .role = ROLE_SERVER,
				       .local = "172.18.0.3",
				       .remote = "172.18.0.2",
				       .local_port = 8000,
				       .remote_port = 40000,
				       .netns = 6 });
	http(3, 0, ROLE_SERVER, 2, 21 * MS, 39 * MS);
	http(2, 0, ROLE_CLIENT, 1, 20 * MS, 40 * MS);
	assert_true(is_child(1, 0));
}

/* Parents in a ring, which no kernel sends: everything comes out, once. */
static void ring_of_parents(void **state)
{
	(void)state;
	sql(1, 3, 0);
	sql(2, 1, 0);
	sql(3, 2, 0);
	assembly_tick(fx.a, 1000 * SECOND, OFFSET);
	assert_int_equal(fx.n, 3);
}

static void nothing_left_behind(void **state)
{
	(void)state;
	announce_proxy();
	for (uint64_t i = 0; i < 300; i++) {
		sql(1000 + i, 10 + i % 7, i * MS);
		http(2000 + i, 0, ROLE_SERVER, 2, i * 1000, i * 1000 + 10);
	}
	/* freed by the teardown, and the leak checker looks */
	assert_int_equal(fx.n, 300 - 16);
}

static void connections_are_bounded(void **state)
{
	struct event_close c = { .header = { .kind = EVENT_CLOSE, .time = SECOND } };

	(void)state;
	fx.cfg.max_conns = 64;
	fixture_restart();
	for (uint64_t i = 1; i < 5000; i++) {
		connect_conn((struct connect){ .conn = i,
					       .role = ROLE_CLIENT,
					       .local = "127.0.0.1",
					       .remote = "127.0.0.1",
					       .local_port = (uint16_t)i,
					       .remote_port = 80 });
		c.header.conn = i > 30 ? i - 30 : 1u << 30;
		give(&c, sizeof(c), bytes_str(""));
	}
	assembly_tick(fx.a, 100 * SECOND, OFFSET);
}

#define TASK (PARENT_STRAND | 7ULL << STRAND_PROCESS_SHIFT | 1ULL << 40)

/* What another service did for a call of a task that answers no request goes out with that call. */
static void calls_of_no_request(void **state)
{
	(void)state;
	announce_proxy();
	sql(4, 3, 30 * MS);
	http(3, 0, ROLE_SERVER, 2, 21 * MS, 39 * MS);
	http(2, TASK, ROLE_CLIENT, 1, 20 * MS, 40 * MS);
	assembly_tick(fx.a, 1000 * SECOND, OFFSET);
	assert_int_equal(fx.n, 3);
	assert_true(is_child(1, 0) && is_child(2, 1));
}

static const struct CMUnitTest tests[] = {
	TEST(calls_of_no_request),
	TEST(children_wait),
	TEST(roots),
	TEST(remote_parent),
	TEST(unsampled_parent),
	TEST(ratio),
	TEST(held_too_long),
	TEST(hold_is_bounded),
	TEST(joined_ends),
	TEST(joined_late),
	TEST(joined_in_order),
	TEST(joined_to_its_own),
	TEST(joined_to_one_that_left),
	TEST(clients_left_out),
	TEST(joined_by_unix_socket),
	TEST(joined_before_it_is_accepted),
	TEST(not_joined),
	TEST(joined_between_containers),
	TEST(ring_of_parents),
	TEST(nothing_left_behind),
	TEST(connections_are_bounded),
};

int main(void)
{
	return cmocka_run_group_tests(tests, NULL, NULL);
}
