# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A PostgreSQL cluster of its own: TLS with a certificate made here, pg_stat_statements, a Unix socket in $E2E.

PG_BIN=${PG_BIN:-/usr/lib/postgresql/15/bin}
export PG_BIN

pg_as() { setpriv --reuid=postgres --regid=postgres --clear-groups -- "$@"; }

# $PG_SETTINGS: more lines for postgresql.conf
pg_start() {
	local dir=$E2E/pg
	mkdir -p "$dir" "$E2E/run"
	chown postgres:postgres "$dir" "$E2E/run"
	chmod 700 "$dir"
	(cd / && LC_ALL=C pg_as "$PG_BIN/initdb" -D "$dir/data" -U postgres -A trust --no-sync -E UTF8 >"$E2E/initdb.log" 2>&1)
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
		-keyout "$dir/data/server.key" -out "$dir/data/server.crt" 2>>"$E2E/initdb.log"
	chown postgres:postgres "$dir/data"/server.*
	chmod 600 "$dir/data/server.key"
	PGPORT=$(e2e_port) PGHOST=$E2E/run PGUSER=postgres
	export PGPORT PGHOST PGUSER PGCLIENTENCODING=UTF8
	cat >>"$dir/data/postgresql.conf" <<-CONF
		listen_addresses = '127.0.0.1'
		port = $PGPORT
		unix_socket_directories = '$E2E/run'
		shared_preload_libraries = 'pg_stat_statements'
		pg_stat_statements.track = all
		pg_stat_statements.max = 10000
		ssl = on
		max_connections = 400
		shared_buffers = 64MB
		fsync = off
		log_min_duration_statement = -1
		log_line_prefix = '%d %e '
	CONF
	printf '%s\n' "${PG_SETTINGS:-}" >>"$dir/data/postgresql.conf"
	(cd / && e2e_start pg setpriv --reuid=postgres --regid=postgres --clear-groups -- "$PG_BIN/postgres" -D "$dir/data")
	e2e_wait 20 "$PG_BIN/pg_isready" -q -d postgres
	pg_sql postgres "CREATE ROLE shop LOGIN; CREATE EXTENSION pg_stat_statements"
}

# pg_sql DATABASE SQL: unaligned, without decoration.
pg_sql() { "$PG_BIN/psql" -XqAt -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }

# What the server counted, one JSON object a line: calls and rows of each statement that a client of the database sent.
pg_counts() {
	pg_sql postgres "SELECT json_build_object('database', datname, 'query', query, 'calls', calls, 'rows', rows,
		'mean_ms', mean_plan_time + mean_exec_time, 'min_ms', min_plan_time + min_exec_time) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE toplevel"
}

# Begins and ends a stretch that is judged: pg_counts in $E2E/NAME.counts, what was logged in $E2E/NAME.pglog.
pg_begin() {
	pg_sql postgres "SELECT pg_stat_statements_reset()" >/dev/null
	wc -l <"$E2E/pg.log" >"$E2E/$1.mark"
}
pg_end() {
	pg_counts >"$E2E/$1.counts"
	tail -n +"$(($(cat "$E2E/$1.mark") + 1))" "$E2E/pg.log" >"$E2E/$1.pglog"
}

# pg_errors NAME DATABASE SQLSTATE: how often it was logged in that stretch.
pg_errors() { grep -c "^$2 $3 ERROR" "$E2E/$1.pglog" || true; }
