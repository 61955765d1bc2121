/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target/cgroup.h"
#include "target/environment.h"
#include "target/identity.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define ENV(s) BYTES_LITERAL(s)

static void check_bytes(struct bytes got, const char *want)
{
	if (!bytes_eq(got, bytes_str(want)))
		fail_msg("\"%.*s\", not \"%s\"", (int)got.n, got.n ? got.p : "", want);
}

static void check_attr(const struct resource *r, const char *key, const char *want)
{
	const struct attr *a = attrs_find(&r->attrs, key);

	if (!want) {
		if (a)
			fail_msg("%s is set", key);
		return;
	}
	if (!a)
		fail_msg("%s is not set", key);
	assert_int_equal(a->type, ATTR_STRING);
	check_bytes(a->s, want);
}

static void test_containers(void **state)
{
	static const struct {
		const char *cgroup, *id;
	} samples[] = {
		{ "0::/system.slice/docker-" ID ".scope\n", ID },
		{ "12:cpu,cpuacct:/docker/" ID "\n1:name=systemd:/docker/" ID "\n", ID },
		{ "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice/cri-containerd-" ID
		  ".scope\n",
		  ID },
		{ "0::/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope/container\n", ID },
		{ "0::/kubepods.slice/kubepods-pod1.slice/crio-conmon-" ID ".scope\n", "" },
		{ "11:memory:/kubepods/besteffort/pod0a1b2c3d-0000-1111-2222-333344445555/" ID "\n", ID },
		{ "1:name=systemd:/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" ID "\n", ID },
		{ "0::/machine.slice/libpod-" ID ".scope/container\n", ID },
		{ "0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope\n", ID },
		{ "0::/machine.slice/libpod-conmon-" ID ".scope\n", "" },
		{ "0::/docker/" ID "/docker/" ID2 "\n", ID2 },
		{ "0::/../../system.slice/docker-" ID ".scope", ID },
		{ "3:cpu:/\n0::/docker/" ID "\n", ID },
		{ "0::/docker/" ID "0\n", "" },
		{ "0::/docker/x" ID "\n", "" },
		{ "0::/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n", "" },
		{ "0::/system.slice/build-" ID ".service\n", "" },
		{ "0::/\n", "" },
		{ "no colon " ID "\n", "" },
		{ "", "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		check_bytes(identity_container(bytes_str(samples[i].cgroup)), samples[i].id);
}

static void test_units(void **state)
{
	static const struct {
		const char *cgroup, *unit;
	} samples[] = {
		{ "0::/system.slice/shop.service\n", "shop" },
		{ "0::/system.slice/shop.service/payload\n", "shop" },
		{ "5:pids:/system.slice/other.service\n1:name=systemd:/system.slice/shop.service\n0::/\n", "shop" },
		{ "0::/system.slice/system-shop.slice/shop@blue.service\n", "shop@blue" },
		{ "0::/system.slice/my\\x2dshop.service\n", "my-shop" },
		{ "0::/system.slice/my\\x00shop\\x2.service\n", "my\\x00shop\\x2" },
		{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service\n", "shop" },
		{ "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope\n", "" },
		{ "0::/user.slice/user-1000.slice/user@1000.service\n", "" },
		{ "0::/user.slice/user-1000.slice/user@1000.service/init.scope\n", "" },
		{ "0::/user.slice/user-1000.slice/session-3.scope\n", "" },
		{ "0::/init.scope\n", "" },
		{ "0::/system.slice/cron.service\n", "" },
		{ "0::/system.slice/sshd@1-10.0.0.1:22-10.0.0.2:5.service\n", "" },
		{ "0::/system.slice/supervisor.service\n", "" },
		{ "0::/system.slice/docker-" ID ".scope\n", "" },
		{ "1:name=systemd:/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:" ID "\n", "" },
		{ "0::/\n", "" },
		{ "", "" },
	};
	char room[UNIT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
		check_bytes(cgroup_unit(bytes_str(samples[i].cgroup), room), samples[i].unit);
}

static void test_environment(void **state)
{
	struct bytes env = ENV("A=1\0AB=2\0B=\0NOVALUE\0C=x=y\0A=3\0LAST=cut");

	(void)state;
	check_bytes(environment_get(env, "A"), "1");
	check_bytes(environment_get(env, "AB"), "2");
	check_bytes(environment_get(env, "B"), "");
	check_bytes(environment_get(env, "C"), "x=y");
	check_bytes(environment_get(env, "NOVALUE"), "");
	check_bytes(environment_get(env, "LAST"), "cut");
	check_bytes(environment_get(env, "D"), "");
	check_bytes(environment_get(bytes_str(NULL), "A"), "");
}

static void test_attribute_list(void **state)
{
	static const char *const bad[] = {
		"a=1,b=%zz", "a=1,b=%2", "a=1,b=%", "a=1,b", "a=1,=2", "a=1,%00=2", "a=1,b=%00", "a=1, =2",
	};
	struct attrs a = { 0 };

	(void)state;
	assert_true(environment_attributes(bytes_str("a=1, b = two%20%2C%3dx%C3%A9 ,,c=,d=x=y,%61%62=z,"), NULL, &a));
	assert_int_equal(a.n, 4);
	check_bytes(attrs_find(&a, "a")->s, "1");
	check_bytes(attrs_find(&a, "b")->s, "two ,=x\xc3\xa9");
	assert_null(attrs_find(&a, "c"));
	check_bytes(attrs_find(&a, "d")->s, "x=y");
	check_bytes(attrs_find(&a, "ab")->s, "z");
	attrs_free(&a);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(environment_attributes(bytes_str(bad[i]), NULL, &a));
		assert_int_equal(a.n, 0);
	}
	assert_true(environment_attributes(bytes_str(NULL), NULL, &a));
	assert_int_equal(a.n, 0);
}

/* A target that fills the list leaves room for what was seen. */
static void test_attribute_list_is_bounded(void **state)
{
	char env[8192] = "OTEL_RESOURCE_ATTRIBUTES=";
	struct identity_input in = { .exe = BYTES_LITERAL("/usr/bin/shop"), .pid = 7 };
	struct resource *r;

	(void)state;
	for (int i = 0; i < 500; i++)
		sprintf(env + strlen(env), "k%d=v,", i);
	in.env = bytes_str(env);
	r = identity_resource(&in);
	assert_int_equal(attrs_find(&r->attrs, "process.pid")->i, 7);
	check_attr(r, "telemetry.sdk.name", "sonde");
	check_attr(r, "k0", "v");
	assert_true(r->attrs.dropped > 0);
	resource_unref(r);
}

static struct identity_input shop(void)
{
	return (struct identity_input){
		.exe = BYTES_LITERAL("/usr/bin/python3.11"),
		.args = BYTES_LITERAL("/venv/bin/python\0/venv/bin/gunicorn\0--env\0SECRET=s3cr3t\0shop.wsgi"),
		.env = BYTES_LITERAL("DATABASE_URL=postgres://u:s3cr3t@h/d\0PGPASSWORD=s3cr3t"),
		.cgroup = BYTES_LITERAL("0::/system.slice/docker-" ID ".scope\n"),
		.comm = BYTES_LITERAL("gunicorn"),
		.host_id = BYTES_LITERAL("5f0c2d7e1b"),
		.host_name = BYTES_LITERAL("box"),
		.pid = 42,
		.start = 123456789,
		.start_unix = 1700000000123456789,
		.agent_version = BYTES_LITERAL("0.1.0"),
	};
}

static void test_whole(void **state)
{
	struct identity_input in = shop();
	struct resource *r = identity_resource(&in);

	(void)state;
	assert_string_equal(r->attrs.v[0].key, "service.name");
	check_attr(r, "service.name", "shop");
	/* python3: uuid.uuid5(UUID("4d63009a-8d0f-11ee-aad7-4c796ed8e320"), "5f0c2d7e1b/" + ID + "/42/12") */
	check_attr(r, "service.instance.id", "63dec9b9-07bd-52f7-abf1-4f421b24937d");
	assert_int_equal(attrs_find(&r->attrs, "process.pid")->i, 42);
	check_attr(r, "process.creation.time", "2023-11-14T22:13:20.123Z");
	check_attr(r, "process.executable.name", "python3.11");
	check_attr(r, "process.executable.path", "/usr/bin/python3.11");
	check_attr(r, "process.command", "/venv/bin/python");
	check_attr(r, "container.id", ID);
	check_attr(r, "host.name", "box");
	check_attr(r, "host.id", "5f0c2d7e1b");
	check_attr(r, "os.type", "linux");
	check_attr(r, "telemetry.sdk.name", "sonde");
	check_attr(r, "telemetry.sdk.language", "python");
	check_attr(r, "telemetry.sdk.version", "0.1.0");
	for (uint32_t i = 0; i < r->attrs.n; i++)
		if (r->attrs.v[i].type == ATTR_STRING)
			assert_null(strstr(r->attrs.v[i].s.p, "s3cr3t"));
	resource_unref(r);
}

static void check_service(const struct identity_input *in, const char *want)
{
	struct resource *r = identity_resource(in);

	check_attr(r, "service.name", want);
	check_bytes(resource_service(r), want);
	resource_unref(r);
}

/* Each source of the name, the strongest last. */
static void test_precedence(void **state)
{
	struct identity_input in = { .agent_attributes = BYTES_LITERAL("service.name=agent") };

	(void)state;
	check_service(&in, "unknown_service");
	in.comm = BYTES_LITERAL("comm");
	check_service(&in, "comm");
	in.exe = BYTES_LITERAL("/usr/bin/python3.11 (deleted)");
	check_service(&in, "python3.11");
	in.args = BYTES_LITERAL("python\0script.py");
	check_service(&in, "script");
	in.cgroup = BYTES_LITERAL("0::/system.slice/unit.service\n");
	check_service(&in, "unit");
	in.env = ENV("OTEL_RESOURCE_ATTRIBUTES=a=b,service.name=listed");
	check_service(&in, "listed");
	in.env = ENV("OTEL_RESOURCE_ATTRIBUTES=service.name=listed,broken");
	check_service(&in, "unit");
	in.env = ENV("OTEL_RESOURCE_ATTRIBUTES=service.name=listed\0OTEL_SERVICE_NAME=named");
	check_service(&in, "named");
	in.service = BYTES_LITERAL("ruled");
	check_service(&in, "ruled");
}

static void test_who_may_say_what(void **state)
{
	struct identity_input in = shop();
	struct resource *r;

	(void)state;
	in.env = ENV(
		"OTEL_RESOURCE_ATTRIBUTES=service.namespace=ours,service.instance.id=mine,process.pid=1,"
		"telemetry.sdk.name=x,host.name=its,os.type=bsd,service.version=2,deployment.environment.name=test");
	in.agent_attributes =
		BYTES_LITERAL("deployment.environment.name=production,k8s.cluster.name=c1,service.name=sonde,"
			      "service.version=9,container.id=" ID2 ",k8s.pod.name=sonde-x,process.pid=2,"
			      "host.id=cloud-7");
	r = identity_resource(&in);
	check_attr(r, "service.name", "shop");
	check_attr(r, "service.namespace", "ours");
	check_attr(r, "service.instance.id", "mine");
	check_attr(r, "service.version", "2");
	check_attr(r, "deployment.environment.name", "test");
	check_attr(r, "k8s.cluster.name", "c1");
	check_attr(r, "k8s.pod.name", NULL);
	check_attr(r, "container.id", ID);
	check_attr(r, "host.name", "its");
	check_attr(r, "host.id", "cloud-7");
	check_attr(r, "os.type", "linux");
	check_attr(r, "telemetry.sdk.name", "sonde");
	assert_int_equal(attrs_find(&r->attrs, "process.pid")->i, 42);
	resource_unref(r);
}

/* Titles are not commands. */
static void test_command(void **state)
{
	static const struct {
		struct bytes args;
		const char *command;
	} samples[] = {
		{ BYTES_LITERAL("nginx: worker process"), NULL },
		{ BYTES_LITERAL("postgres: shop shop 10.0.0.1(5) idle"), NULL },
		{ BYTES_LITERAL("/usr/sbin/nginx\0-g\0daemon off;"), "/usr/sbin/nginx" },
		{ BYTES_LITERAL("node"), "node" },
		{ BYTES_LITERAL("key=s3cr3t"), NULL },
		{ BYTES_LITERAL("key=s3cr3t/x"), NULL },
		{ BYTES_LITERAL(""), NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		struct identity_input in = { .exe = BYTES_LITERAL("/usr/sbin/x"), .args = samples[i].args };
		struct resource *r = identity_resource(&in);

		check_attr(r, "process.command", samples[i].command);
		resource_unref(r);
	}
}

static void test_keys(void **state)
{
	struct identity_input in = shop();
	struct resource *a = identity_resource(&in), *same = identity_resource(&in), *sibling, *other;

	(void)state;
	in.pid = 43;
	sibling = identity_resource(&in);
	in.service = BYTES_LITERAL("other");
	other = identity_resource(&in);
	assert_int_equal(a->id, same->id);
	assert_int_not_equal(a->id, sibling->id);
	assert_int_equal(identity_service_key(a), identity_service_key(sibling));
	assert_int_not_equal(identity_service_key(a), identity_service_key(other));
	assert_false(bytes_eq(attrs_find(&a->attrs, "service.instance.id")->s,
			      attrs_find(&sibling->attrs, "service.instance.id")->s));
	resource_unref(a);
	resource_unref(same);
	resource_unref(sibling);
	resource_unref(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_containers),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_attribute_list),
		cmocka_unit_test(test_attribute_list_is_bounded),
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_precedence),
		cmocka_unit_test(test_who_may_say_what),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
