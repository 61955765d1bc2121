#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# pgbouncer between a service and PostgreSQL: each of its statements is below the service's that it was asked for, which are
# below their requests. Towards PostgreSQL it talks plainly, then by TLS.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

SERVICES="plain tls queued"

setup_file() {
	e2e_missing root venv postgres pgbouncer && return 0
	e2e_begin
	pg_start
	# shellcheck disable=SC2086 # several
	services_observed $SERVICES
}

one_service() { # NAME BACKEND
	local port pool at sslmode=disable size=4
	port=$(e2e_port) pool=$(e2e_port) at=$E2E/pool-$1-$2
	[ "$1" != tls ] || sslmode=require
	[ "$1" != queued ] || size=2
	mkdir "$at"
	chown postgres "$at"
	cat >"$at/ini" <<-END
		[databases]
		$1 = host=127.0.0.1 port=$PGPORT user=shop
		[pgbouncer]
		listen_addr = 127.0.0.1
		listen_port = $pool
		unix_socket_dir = $at
		auth_type = any
		pool_mode = transaction
		default_pool_size = $size
		server_tls_sslmode = $sslmode
	END
	e2e_start "pool-$1-$2" env OTEL_SERVICE_NAME="pool-$1.$E2E_ID" setpriv --reuid=postgres --regid=postgres --clear-groups -- pgbouncer "$at/ini"
	e2e_wait 20 e2e_listens "$pool"
	OTEL_SERVICE_NAME="$1.$E2E_ID" PGHOST=127.0.0.1 PGPORT=$pool PGUSER=shop PGDATABASE=$1 PYTHONPATH=$BATS_TEST_DIRNAME/app \
		e2e_start "$1-$2" "$E2E_PYTHON" -m waitress --listen "127.0.0.1:$port" wsgi_service:application
	e2e_wait 20 e2e_listens "$port"
	services_asked "$1" "$2" "127.0.0.1:$port" 320 16
	e2e_stop "$1-$2"
	e2e_stop "pool-$1-$2"
}

# bouncer_check NAME PART: so large a part of pgbouncer's statements is below the service's, and none below another
bouncer_check() {
	local backend
	services_check "$1" 0.5
	for backend in $E2E_BACKENDS; do
		"$E2E_PYTHON" "$E2E_TOOLS/proxy_check.py" --spans "$E2E/otlp-$backend" --service "$1" --proxy "pool-$1" --linked "$2"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres pgbouncer; }

@test "pgbouncer's statements are below those of its client" { bouncer_check plain 0.8; }
@test "pgbouncer's statements over TLS are below those of its client" { bouncer_check tls 0.8; }
@test "pgbouncer's statements are below those of its client where these wait for its pool" { bouncer_check queued 0.8; }
