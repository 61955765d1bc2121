#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# Simple queries that were asked before are known again by their text (bpf/core/texts.bpf.c). Texts of one length that
# differ in numbers alone, and in more than these, from several clients at once: pg_stat_statements is the referee.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

TABLES="t1 t2 u_1 u_2"

setup_file() {
	e2e_missing root venv postgres && return 0
	e2e_begin
	pg_start
	pg_sql postgres "CREATE DATABASE texts OWNER shop"
	local table
	for table in $TABLES; do
		pg_sql texts "CREATE TABLE $table (n int, s text); GRANT ALL ON $table TO shop"
	done
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres; }

ask() { # SEED
	"$E2E_PYTHON" - "$1" "postgresql://shop@127.0.0.1:$PGPORT/texts?sslmode=disable" <<-'END'
		import psycopg2, random, sys
		pick = random.Random(int(sys.argv[1]))
		connection = psycopg2.connect(sys.argv[2])
		connection.autocommit = True
		cursor = connection.cursor()
		for i in range(1500):
		    n = pick.choice(("%d", "%05d", "%d", "%d.5")) % pick.choice((7, 12345, pick.randrange(100000)))
		    text = pick.choice((
		        "SELECT n FROM t1 WHERE n = %s", "SELECT n FROM t2 WHERE n = %s",
		        "SELECT n FROM u_1 WHERE n=%s AND s='x %s'", "SELECT n FROM u_2 WHERE n=%s AND s='x %s'",
		        "SELECT n FROM t1 WHERE n IN (1,%s)", "SELECT n FROM t2 WHERE n IN (%s,1)",
		        "SELECT n FROM u_1 WHERE s = 'caf\u00e9 %s'", "DELETE FROM t2 /* %s */ WHERE n = %s;"))
		    cursor.execute(text.replace("%s", n))
	END
}

# By what is done to which table.
asked() { # NAME
	jq -r 'select(.summary) | .summary.statements[] | "\(.statement) \(.count)"' "$E2E/sonde-$1.out" | tr -d '"' |
		grep -E " (t1|t2|u_1|u_2) " | sort
}

counted() { # NAME
	jq -r 'select(.database == "texts") | "\(.query | if startswith("DELETE") then "DELETE" else "SELECT" end) \(.query | capture("FROM (?<t>[a-z_0-9]+)").t) \(.calls)"' \
		"$E2E/$1.counts" | awk '{ n[$1 " " $2] += $3 } END { for (k in n) print k, n[k] }' | sort
}

@test "each text counts as its own statement, whatever came before it" {
	local backend seed clients
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend"
		clients=()
		for seed in 1 2 3; do
			ask "$seed" &
			clients+=($!)
		done
		wait "${clients[@]}"
		sonde_stop "$backend"
		pg_end "$backend"
		echo "# on $backend: ours, theirs"
		asked "$backend"
		counted "$backend"
		[ "$(counted "$backend" | wc -l)" = 5 ]
		diff <(asked "$backend") <(counted "$backend")
	done
}
