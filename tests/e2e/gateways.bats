#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Programs that answer what nginx hands on to them by FastCGI and uwsgi: their statements are below nginx's request.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

SERVICES="fastcgi_unix fastcgi_tcp uwsgi_unix uwsgi_tcp"

php_fpm() { compgen -c php-fpm | sort -V | tail -n 1; }

setup_file() {
	e2e_missing root venv postgres nginx uwsgi "$(php_fpm)" && return 0
	e2e_begin
	pg_start
	# shellcheck disable=SC2086 # several
	services_observed $SERVICES
}

one_service() { # NAME BACKEND
	local at web=web-$1-$2
	at=127.0.0.1:$(e2e_port)
	case $1 in *_unix) at=$E2E/$1-$2.sock ;; esac
	OTEL_SERVICE_NAME="$1.$E2E_ID" PGHOST=127.0.0.1 PGSSLMODE=disable PGUSER=shop PGDATABASE=$1 serve "$1" "$1-$2" "$at"
	case $at in /*) e2e_wait 20 test -S "$at" ;; *) e2e_wait 20 e2e_listens "${at##*:}" ;; esac
	NGINX_PASS=${1%_*} nginx_start "$web" "$([ "${at#/}" = "$at" ] || echo unix:)$at" "$(case $1 in *_tcp) echo 16 ;; *) echo 0 ;; esac)"
	at=127.0.0.1:$(cat "$E2E/$web.port")
	services_asked "$1" "$2" "$at" 160 8
	e2e_stop "$web"
	e2e_stop "$1-$2"
}

serve() { # NAME PROCESS ADDRESS
	case $1 in
	fastcgi_*)
		printf '%s\n' '[global]' "error_log = $E2E/$2.err" 'daemonize = no' '[www]' 'user = root' 'group = root' "listen = $3" \
			'pm = static' 'pm.max_children = 20' 'clear_env = no' >"$E2E/$2.conf"
		e2e_start "$2" "$(php_fpm)" --allow-to-run-as-root --nodaemonize --fpm-config "$E2E/$2.conf"
		;;
	uwsgi_*)
		e2e_start "$2" uwsgi --plugin python3 --master --die-on-term --processes 4 --threads 2 --socket "$3" --chmod-socket=666 \
			--disable-logging --pythonpath "$BATS_TEST_DIRNAME/app" --module wsgi_service
		;;
	esac
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres nginx uwsgi "$(php_fpm)"; }

@test "PHP-FPM behind nginx on a Unix socket: statements are below nginx's requests" { services_check fastcgi_unix 0.9 web-fastcgi_unix; }
@test "PHP-FPM behind nginx on kept TCP connections: statements are below nginx's requests" { services_check fastcgi_tcp 0.9 web-fastcgi_tcp; }
@test "uWSGI behind nginx on a Unix socket: statements are below nginx's requests" { services_check uwsgi_unix 0.9 web-uwsgi_unix; }
@test "uWSGI behind nginx over TCP: statements are below nginx's requests" { services_check uwsgi_tcp 0.9 web-uwsgi_tcp; }
