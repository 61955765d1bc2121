# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A MariaDB server of its own: performance_schema, TCP on loopback and a Unix socket in $E2E. No one else's is touched.

MARIADBD=${MARIADBD:-/usr/sbin/mariadbd}
export MARIADBD

mysql_as() { setpriv --reuid=mysql --regid=mysql --clear-groups -- "$@"; }

mysql_start() {
	local dir=$E2E/my
	mkdir -p "$dir/data" "$dir/tmp"
	chown -R mysql:mysql "$dir"
	mysql_as /usr/bin/mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal \
		--skip-test-db --cross-bootstrap >"$E2E/install-db.log" 2>&1
	MYSQL_PORT=$(e2e_port) MYSQL_SOCKET=$dir/sock
	export MYSQL_PORT MYSQL_SOCKET
	e2e_start mysql setpriv --reuid=mysql --regid=mysql --clear-groups -- "$MARIADBD" --no-defaults --datadir="$dir/data" \
		--tmpdir="$dir/tmp" --socket="$MYSQL_SOCKET" --port="$MYSQL_PORT" --bind-address=127.0.0.1 --pid-file="$dir/pid" \
		--performance-schema=ON --performance-schema-instrument='statement/%=ON' --performance-schema-digests-size=2000 \
		--innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --skip-log-bin \
		--character-set-server=utf8mb4 --local-infile=ON --skip-name-resolve
	e2e_wait 60 mysql_sql mysql "SELECT 1"
	mysql_sql mysql "CREATE USER shop@localhost IDENTIFIED BY 'not-in-any-output'; CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'not-in-any-output';
		GRANT ALL ON *.* TO shop@localhost; GRANT ALL ON *.* TO shop@'127.0.0.1'"
}

# mysql_sql DATABASE SQL: tab-separated, without decoration.
mysql_sql() { /usr/bin/mariadb --no-defaults --protocol=SOCKET -S "$MYSQL_SOCKET" -u root -N -B -r "$1" -e "$2"; }

# What the server counted: calls, rows and failures of each statement of each database, one JSON object a line.
mysql_counts() {
	mysql_sql performance_schema "SELECT JSON_OBJECT('database', SCHEMA_NAME, 'query', DIGEST_TEXT, 'calls', COUNT_STAR - SUM_ERRORS,
		'failed', SUM_ERRORS, 'rows', SUM_ROWS_SENT + SUM_ROWS_AFFECTED, 'mean_ms', AVG_TIMER_WAIT / 1e9)
		FROM events_statements_summary_by_digest WHERE SCHEMA_NAME IS NOT NULL AND DIGEST_TEXT IS NOT NULL"
}

# Begins and ends a stretch that is judged: mysql_counts in $E2E/NAME.counts.
mysql_begin() { mysql_sql performance_schema "TRUNCATE events_statements_summary_by_digest"; }
mysql_end() { mysql_counts >"$E2E/$1.counts"; }
