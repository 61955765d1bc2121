#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh [--rounds N] [--seconds S] [--only REGEX] [--backend NAME] [--export all|metrics] [--json]
#
# What Sonde costs the services it observes, and itself. Interleaved rounds without Sonde, with it, and (for PostgreSQL
# clients) with bpftrace probes on the same functions of libpq. docs/benchmark.md says what is measured and how. Needs
# root, nginx, wrk, postgresql-15 with pgbench; MariaDB and bpftrace are left out when they are missing. Standard output is the table,
# or JSON with --json.
set -euo pipefail

E2E_PYTHON=${E2E_PYTHON:-python3}
here=$(cd "$(dirname "$0")" && pwd)
for lib in common postgres mysql nginx; do
	# shellcheck source=/dev/null
	source "$here/../e2e/lib/$lib.bash"
done

if missing=$(e2e_missing root sonde postgres nginx wrk openssl "$PG_BIN/pgbench"); then
	echo "error: the benchmark needs $missing" >&2
	exit 1
fi

e2e_begin
trap e2e_end EXIT
trap 'exit 130' INT TERM

echo "bench     starting nginx and PostgreSQL" >&2
PG_SETTINGS="pg_stat_statements.track = none" pg_start
pg_sql postgres "CREATE DATABASE bench" >&2
"$PG_BIN/pgbench" -q -i -s 10 bench >"$E2E/pgbench.log" 2>&1
pg_sql bench "VACUUM ANALYZE"
mysql=()
if [ -x "$MARIADBD" ]; then
	mysql_start
	mysql_user bench
	mysql=(--mysql-pid "$(e2e_pid mysql)" --mysql-port "$MYSQL_PORT" --mysql-password "$MYSQL_PASSWORD")
fi
nginx_static web
"$E2E_PYTHON" "$here/bench.py" "${mysql[@]}" --sonde "$SONDE" --tmp "$E2E" --nginx-pid "$(e2e_pid web)" --nginx-port "$(cat "$E2E/web.port")" \
	--postgres-pid "$(e2e_pid pg)" --postgres-port "$PGPORT" --pgbench "$PG_BIN/pgbench" "$@"
