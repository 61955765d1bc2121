# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Real database drivers, each with the workload of tests/e2e/drivers; DRIVERS are their names.

PYTHON_DRIVERS="psycopg2 psycopg psycopg_cursor psycopg_pipeline psycopg_copy asyncpg sqlalchemy django"
BENCH_DRIVERS="pgbench_simple pgbench_extended pgbench_prepared pgbench_pipeline pgbench_transaction"
DRIVERS="$BENCH_DRIVERS psql $PYTHON_DRIVERS node pgx pq jdbc pdo"
TRANSPORTS="tcp tls unix"
export DRIVERS TRANSPORTS

# Where tests/referees/drivers.sh put them; without it, says why not and fails.
drivers_home() {
	[ -z "${SONDE_DRIVERS_WHY:-}" ] || { echo "$SONDE_DRIVERS_WHY" >&2 && return 1; }
	[ -z "${SONDE_DRIVERS:-}" ] || { echo "$SONDE_DRIVERS" && return 0; }
	"$E2E_ROOT/tests/referees/drivers.sh"
}

# driver_can DRIVER TRANSPORT
driver_can() { [ "$1/$2" != jdbc/unix ]; }

# driver_command DRIVER ROUNDS: the words of its command in $COMMAND.
driver_command() {
	local app=$E2E_ROOT/tests/e2e/drivers home=$DRIVERS_HOME
	case $1 in
	pgbench_transaction) COMMAND=("$PG_BIN/pgbench" -n --random-seed=7 -M extended -c 2 -t "$2" -f "$app/sql/transaction.sql") ;;
	pgbench_pipeline) COMMAND=("$PG_BIN/pgbench" -n --random-seed=7 -M prepared -c 2 -t "$2" -f "$app/sql/pipeline.sql") ;;
	pgbench_*) COMMAND=("$PG_BIN/pgbench" -n --random-seed=7 -M "${1#pgbench_}" -c 2 -t "$2" -f "$app/sql/bench.sql") ;;
	psql) COMMAND=("$PG_BIN/psql" -Xq -f "$app/sql/psql.sql") ;;
	node) COMMAND=(env NODE_PATH="$home/node/node_modules" node "$app/node/workload.js" "$2") ;;
	pgx | pq) COMMAND=("$home/go/workload" "$1" "$2") ;;
	jdbc) COMMAND=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "$home/java:$home/java/postgresql.jar" Workload "$2") ;;
	pdo) COMMAND=(php "$app/php/workload.php" "$2") ;;
	*) COMMAND=("$E2E_PYTHON" "$app/python/workload.py" "$1" "$2") ;;
	esac
}

# driver_run DRIVER TRANSPORT ROUNDS: on the database DRIVER_TRANSPORT, which is its service too; output in $E2E/that.log
driver_run() {
	local name=$1_$2 host=127.0.0.1 sslmode=disable COMMAND
	[ "$2" = unix ] && host=$E2E/run
	[ "$2" = tls ] && sslmode=require
	driver_command "$1" "$3"
	# A driver may need a home folder; ours may hold settings of somebody's own.
	env HOME="$E2E" PGHOST="$host" PGSSLMODE=$sslmode PGUSER=shop PGDATABASE="$name" \
		OTEL_SERVICE_NAME="$name.$E2E_ID" timeout 60 "${COMMAND[@]}" >"$E2E/$name.log" 2>&1 && return 0
	echo "$name failed: $(tail -n 3 "$E2E/$name.log")" >&2
	return 1
}
