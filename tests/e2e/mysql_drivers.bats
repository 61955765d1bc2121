#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# MySQL's drivers as their users install them, on plain TCP, TLS and a Unix socket. performance_schema is the referee for
# every single statement: what it was, its rows, its failure, its time; the server's Com_ counters for what prepared
# statements were; tshark for the commands on the wire. docs/sql-drivers.md holds the result, and must say what was seen:
# SONDE_WRITE_DOCS=1 writes it. ONLY_DRIVERS="pymysql node" runs only these (the others then fail).

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=6
MYSQL_DRIVERS="mysqlclient pymysql node go go_text connector connector_prepared connector_batch connector_cursor mariadb mariadb_prepared"
MYSQL_TRANSPORTS="tcp tls unix"
REFEREES=$BATS_TEST_DIRNAME/../referees

setup_file() {
	e2e_missing root venv mariadb node java tshark && return 0
	local what
	for what in node go java; do
		mysql_clients $what >/dev/null 2>&1 || return 0
	done
	e2e_begin
	MYSQL_CERTIFICATE=$E2E/my.crt
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$E2E/my.key" -out "$MYSQL_CERTIFICATE" 2>"$E2E/openssl.log"
	chmod 644 "$E2E/my.key"
	MYSQL_SETTINGS="--ssl-cert=$MYSQL_CERTIFICATE --ssl-key=$E2E/my.key $MYSQL_HISTORY" mysql_start
	local backend driver transport
	for driver in $MYSQL_DRIVERS; do
		for transport in $MYSQL_TRANSPORTS; do
			mysql_user "${driver}_$transport"
			mysql_things "${driver}_$transport"
		done
	done
	for backend in $E2E_BACKENDS; do
		sonde_start "$backend" "$backend"
		: >"$E2E/$backend.failed"
		for transport in $MYSQL_TRANSPORTS; do
			[ "$transport" = tcp ] && capture_start "$backend" "$MYSQL_PORT"
			for driver in ${ONLY_DRIVERS:-$MYSQL_DRIVERS}; do
				can "$driver" "$transport" && run_driver "$backend" "$driver" "$transport"
			done
			[ "$transport" = tcp ] && capture_stop "$backend"
		done
		sonde_stop "$backend"
	done
}

can() { [[ $2 != unix || $1 != connector* && $1 != mariadb* ]]; }

# command DRIVER TRANSPORT: the words of its command in $COMMAND.
driver_command() {
	local name=$1_$2 socket='' tls='' url ssl=DISABLED maria=disable dsn="@tcp(127.0.0.1:$MYSQL_PORT)/$1_$2?multiStatements=true"
	[ "$2" = unix ] && socket=$MYSQL_SOCKET && dsn="@unix($MYSQL_SOCKET)/$name?multiStatements=true"
	[ "$2" = tls ] && tls=1 && ssl=REQUIRED && maria=trust && dsn+="&tls=skip-verify"
	[ "$1" = go_text ] && dsn+="&interpolateParams=true"
	url="127.0.0.1:$MYSQL_PORT/$name?user=$name&password=$MYSQL_PASSWORD&allowMultiQueries=true"
	case $1 in
	node) COMMAND=(node "$(mysql_clients node)/workload.js" 127.0.0.1 "$MYSQL_PORT" "$socket" "$name" "$MYSQL_PASSWORD" "$tls" "$ROUNDS") ;;
	go*) COMMAND=("$(mysql_clients go)/workload/workload" "$name:$MYSQL_PASSWORD$dsn" "$ROUNDS") ;;
	connector) java_command "jdbc:mysql://$url&sslMode=$ssl" ;;
	connector_prepared) java_command "jdbc:mysql://$url&sslMode=$ssl&useServerPrepStmts=true&cachePrepStmts=true" ;;
	connector_batch) java_command "jdbc:mysql://$url&sslMode=$ssl&rewriteBatchedStatements=true" ;;
	connector_cursor) java_command "jdbc:mysql://$url&sslMode=$ssl&useCursorFetch=true" 15 ;;
	mariadb) java_command "jdbc:mariadb://$url&sslMode=$maria" ;;
	mariadb_prepared) java_command "jdbc:mariadb://$url&sslMode=$maria&useServerPrepStmts=true" ;;
	*) # mysqlclient is Debian's, built for Debian's Python
		COMMAND=(env PYTHONPATH="$("$E2E_PYTHON" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
			MYSQL_CERTIFICATE="${tls:+$MYSQL_CERTIFICATE}" /usr/bin/python3 "$BATS_TEST_DIRNAME/app/mysql_workload.py"
			"$1" 127.0.0.1 "$MYSQL_PORT" "$socket" "$name" "$MYSQL_PASSWORD" "$ROUNDS") ;;
	esac
}

java_command() { # URL [FETCH_SIZE]
	local home
	home=$(mysql_clients java)/java
	COMMAND=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$home:$home/mysql-connector-j.jar:$home/mariadb-java-client.jar"
		MysqlWorkload "$1" "$ROUNDS" "${@:2}")
}

run_driver() { # BACKEND DRIVER TRANSPORT
	local name=$2_$3 COMMAND
	driver_command "$2" "$3"
	mysql_history_begin "$name"
	env HOME="$E2E" OTEL_SERVICE_NAME="$name.$E2E_ID" timeout 60 "${COMMAND[@]}" >"$E2E/$name.log" 2>&1 ||
		echo "$name failed: $(tail -n 3 "$E2E/$name.log")" >>"$E2E/$1.failed"
	mysql_history_end "$name" >>"$E2E/$1.events"
}

# When its last packet is in the file: dumpcap writes them in blocks.
capture_stop() {
	/usr/bin/mariadb --no-defaults -h 127.0.0.1 -P "$MYSQL_PORT" -u go_tcp -p$MYSQL_PASSWORD --skip-ssl \
		-e "SELECT 'the capture ends'" >/dev/null
	e2e_wait 15 grep -q "the capture ends" "$E2E/$1.pcapng"
	e2e_stop "capture-$1" INT
}

mysql_clients() { "$REFEREES/mysql.sh" "$1"; }

teardown_file() { e2e_end; }
setup() {
	local what
	e2e_need root venv mariadb node java tshark
	for what in node go java; do
		mysql_clients $what >/dev/null 2>&1 || skip "needs the drivers: $(mysql_clients $what 2>&1 | tail -n 1)"
	done
}

matrix() { "$E2E_PYTHON" "$E2E_TOOLS/mysql_check.py" "$@" --dir "$E2E" --backends "$E2E_BACKENDS" --port "$MYSQL_PORT"; }

@test "every driver did its work" { all_worked; }

@test "mysqlclient" { matrix cells mysqlclient; }
@test "PyMySQL" { matrix cells pymysql; }
@test "node: mysql2" { matrix cells node; }
@test "Go: go-sql-driver" { matrix cells go; }
@test "Go: go-sql-driver, interpolateParams" { matrix cells go_text; }
@test "Connector/J" { matrix cells connector; }
@test "Connector/J: useServerPrepStmts" { matrix cells connector_prepared; }
@test "Connector/J: rewriteBatchedStatements" { matrix cells connector_batch; }
@test "Connector/J: useCursorFetch" { matrix cells connector_cursor; }
@test "MariaDB Connector/J" { matrix cells mariadb; }
@test "MariaDB Connector/J: useServerPrepStmts" { matrix cells mariadb_prepared; }
@test "tshark finds as many commands, failures and rows on the wire" { matrix wire; }
@test "docs/sql-drivers.md says what was seen" {
	matrix table "$E2E_ROOT/docs/sql-drivers.md" ${SONDE_WRITE_DOCS:+--write}
}
