#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# MariaDB and its drivers, over TCP and a Unix socket, each in every way it has of sending statements. The server's own
# performance_schema is the referee for calls, rows and failures.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=20
# Service, database and user are named alike.
PYTHON_DRIVERS="pymysql mysqlclient multi pipelined misc big compressed pymysql_socket mysqlclient_socket pymysql_tls mysqlclient_tls"
REFEREES=$BATS_TEST_DIRNAME/../referees

setup_file() {
	e2e_missing root venv mariadb && return 0
	e2e_begin
	MYSQL_CERTIFICATE=$E2E/my.crt
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$E2E/my.key" -out "$MYSQL_CERTIFICATE" 2>"$E2E/openssl.log"
	chmod 644 "$E2E/my.key"
	MYSQL_SETTINGS="--ssl-cert=$MYSQL_CERTIFICATE --ssl-key=$E2E/my.key --max-allowed-packet=64M" mysql_start
	local backend name
	for name in $PYTHON_DRIVERS old node go go_tls; do
		mysql_user "m_$name"
		mysql_sql "m_$name" "CREATE TABLE things (a int PRIMARY KEY, b text); CREATE TABLE log (t text);
			INSERT INTO things SELECT seq, CONCAT('thing ', seq) FROM seq_1_to_100"
		mysql_sql "m_$name" "DELIMITER |
			CREATE PROCEDURE two_sets() BEGIN SELECT a FROM things WHERE a < 3; SELECT b FROM things WHERE a < 6; END|"
	done
	for backend in $E2E_BACKENDS; do
		old_connects
		sonde_start "$backend" "$backend"
		mysql_begin
		echo >&"$OLD_GO"
		exec {OLD_GO}>&-
		for name in $PYTHON_DRIVERS; do
			named "$name" driver "$name"
		done
		wait "$OLD_PID"
		has node && named node node "$(client node)/client.js" 127.0.0.1 "$MYSQL_PORT" m_node $MYSQL_PASSWORD $ROUNDS
		has go && named go "$(client go)/client" "m_go:$MYSQL_PASSWORD@tcp(127.0.0.1:$MYSQL_PORT)/m_go" $ROUNDS
		has go && named go_tls "$(client go)/client" \
			"m_go_tls:$MYSQL_PASSWORD@tcp(127.0.0.1:$MYSQL_PORT)/m_go_tls?tls=skip-verify" $ROUNDS
		sonde_stop "$backend"
		mysql_end "$backend"
	done
}

driver() { # NAME. mysqlclient is Debian's, built for Debian's Python.
	local certificate=
	[[ $1 != *_tls ]] || certificate=$MYSQL_CERTIFICATE
	env PYTHONPATH="$(venv_packages)" MYSQL_CERTIFICATE="$certificate" \
		/usr/bin/python3 "$BATS_TEST_DIRNAME/app/mysql_drivers.py" "${1%_*}" \
		127.0.0.1 "$MYSQL_PORT" "$([[ $1 != *_socket ]] || echo "$MYSQL_SOCKET")" "m_$1" $MYSQL_PASSWORD $ROUNDS
}

# A client whose connection is older than Sonde; it goes on when something is written to $OLD_GO.
old_connects() {
	rm -f "$E2E/old.fifo"
	mkfifo "$E2E/old.fifo"
	named old driver old <"$E2E/old.fifo" 3>&- &
	OLD_PID=$!
	exec {OLD_GO}>"$E2E/old.fifo"
	e2e_wait 20 grep -q connected "$E2E/m_old.log"
}

client() { "$REFEREES/mysql.sh" "$1"; }
has() { client "$1" >/dev/null 2>"$E2E/$1.why"; }
venv_packages() { "$E2E_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

named() { # NAME COMMAND...
	local name=$1
	shift
	OTEL_SERVICE_NAME=m_$name.$E2E_ID "$@" >"$E2E/m_$name.log" 2>&1 || {
		tail -5 "$E2E/m_$name.log" >&2
		return 1
	}
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv mariadb; }

same() { # NAME [ERROR...]
	local backend rc=0
	for backend in $E2E_BACKENDS; do
		echo "# $1 on $backend"
		e2e_check statements --otlp "$E2E/otlp-$backend" --service "m_$1" --counts "$E2E/$backend.counts" --database "m_$1" \
			${TOTALS:+--totals} --errors "${@:2}" || rc=1
	done
	return $rc
}

@test "PyMySQL: rows, long values, a procedure with two result sets, unbuffered rows, failures" {
	same pymysql 1054=$ROUNDS 1062=$ROUNDS
}
@test "PyMySQL over a Unix socket" { same pymysql_socket 1054=$ROUNDS 1062=$ROUNDS; }
@test "PyMySQL: several statements in one text" { same multi 1054=$ROUNDS; }
@test "mysqlclient" { same mysqlclient 1054=$ROUNDS 1062=$ROUNDS; }
@test "mysqlclient over a Unix socket" { same mysqlclient_socket 1054=$ROUNDS 1062=$ROUNDS; }

@test "PyMySQL over TLS" { same pymysql_tls 1054=$ROUNDS 1062=$ROUNDS; }
@test "mysqlclient over TLS" { same mysqlclient_tls 1054=$ROUNDS 1062=$ROUNDS; }

@test "commands sent before the first answer is read" { same pipelined 1054=$ROUNDS; }
@test "a connection older than Sonde" { same old 1054=$ROUNDS 1062=$ROUNDS; }
@test "LOAD DATA LOCAL, change of user, sleep" { same misc; }

@test "packets of more than 16 MiB, and of exactly that" { same big; }

@test "the database after a change of user is the new one" {
	local backend
	for backend in $E2E_BACKENDS; do
		grep '"m_misc\.' "$E2E/sonde-$backend.out" | grep '"SELECT a FROM things"' |
			jq -es --argjson n $ROUNDS 'map(select(.attributes["db.namespace"] == "m_misc")) | length == $n'
	done
}

@test "a sleep takes as long as it sleeps" {
	local backend
	for backend in $E2E_BACKENDS; do
		grep '"m_misc\.' "$E2E/sonde-$backend.out" | jq -es 'map(select(.attributes["db.query.text"] == "SELECT SLEEP(?)")
			.duration_ms) | sort | length == 5 and .[0] >= 50 and .[2] < 80'
	done
}

@test "connections opened are those that the server counted, with their TCP, TLS and authentication" {
	local backend name phases
	for backend in $E2E_BACKENDS; do
		for name in mysqlclient mysqlclient_socket mysqlclient_tls; do
			phases=auth
			[ "$name" = mysqlclient_socket ] || phases+=,tcp
			[ "$name" != mysqlclient_tls ] || phases+=,tls
			e2e_check opened --phases $phases --otlp "$E2E/otlp-$backend" --service "m_$name" --database "m_$name" \
				--least "$(awk -v user="m_$name" '$1 == user { print $2 }' "$E2E/$backend.connections")"
		done
	done
}

@test "a compressed connection is counted as such" {
	local backend
	for backend in $E2E_BACKENDS; do
		e2e_check events --otlp "$E2E/otlp-$backend" --reason conns_compressed --least 1
	done
}

@test "mysql2: prepared statements of node" {
	has node || skip "node: $(cat "$E2E/node.why")"
	TOTALS=1 same node 1054=$ROUNDS 1062=$ROUNDS
}

@test "go-sql-driver: statements prepared for one use and kept" {
	has go || skip "go: $(cat "$E2E/go.why")"
	TOTALS=1 same go 1062=$ROUNDS
}

@test "go-sql-driver over its own TLS, told by the server's end" {
	has go || skip "go: $(cat "$E2E/go.why")"
	TOTALS=1 same go_tls 1062=$ROUNDS
}

@test "the server's password is in no output" {
	run grep -rlF "$MYSQL_PASSWORD" "$E2E"/otlp-* "$E2E"/sonde-*.out
	[ "$status" = 1 ] # nor what it loaded from a file
}

@test "the server is named as it named itself, and its database" {
	local backend
	for backend in $E2E_BACKENDS; do
		[ "$(grep '"m_pymysql\.' "$E2E/sonde-$backend.out" | grep -c '"db.system.name":"mariadb"')" -gt 100 ]
		# Of a connection that is older, the greeting was not seen.
		[ "$(grep -v '"m_old\.' "$E2E/sonde-$backend.out" | grep -c '"db.system.name":"mysql"')" = 0 ]
		[ "$(grep '"m_mysqlclient\.' "$E2E/sonde-$backend.out" | grep -c '"db.namespace":"m_mysqlclient"')" -gt 100 ]
	done
}
