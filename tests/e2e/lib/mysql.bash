# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A MariaDB server of its own: performance_schema, TCP on loopback and a Unix socket in $E2E. No one else's is touched.

MARIADBD=${MARIADBD:-/usr/sbin/mariadbd}
MYSQL_PASSWORD=not-in-any-output
export MARIADBD MYSQL_PASSWORD

mysql_as() { setpriv --reuid=mysql --regid=mysql --clear-groups -- "$@"; }

# $MYSQL_SETTINGS: more options for the server.
mysql_start() {
	local dir=$E2E/my
	mkdir -p "$dir/data" "$dir/tmp"
	chown -R mysql:mysql "$dir"
	mysql_as /usr/bin/mariadb-install-db --no-defaults --datadir="$dir/data" --auth-root-authentication-method=normal \
		--skip-test-db --cross-bootstrap >"$E2E/install-db.log" 2>&1
	MYSQL_PORT=$(e2e_port) MYSQL_SOCKET=$dir/sock
	export MYSQL_PORT MYSQL_SOCKET
	# shellcheck disable=SC2086 # MYSQL_SETTINGS is a list
	e2e_start mysql setpriv --reuid=mysql --regid=mysql --clear-groups -- "$MARIADBD" --no-defaults --datadir="$dir/data" \
		--tmpdir="$dir/tmp" --socket="$MYSQL_SOCKET" --port="$MYSQL_PORT" --bind-address=127.0.0.1 --pid-file="$dir/pid" \
		--performance-schema=ON --performance-schema-instrument='statement/%=ON' --performance-schema-digests-size=2000 \
		--innodb-buffer-pool-size=16M --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=0 --skip-log-bin \
		--character-set-server=utf8mb4 --local-infile=ON --skip-name-resolve ${MYSQL_SETTINGS:-}
	e2e_wait 60 mysql_sql mysql "SELECT 1"
}

# mysql_sql DATABASE SQL: tab-separated, without decoration.
mysql_sql() { /usr/bin/mariadb --no-defaults --protocol=SOCKET -S "$MYSQL_SOCKET" -u root -N -B -r "$1" -e "$2"; }

# mysql_user NAME: a user with a database of its own, both named NAME.
mysql_user() {
	local host
	mysql_sql mysql "CREATE DATABASE $1"
	for host in localhost 127.0.0.1; do
		mysql_sql mysql "CREATE USER $1@'$host' IDENTIFIED BY '$MYSQL_PASSWORD'; GRANT ALL ON $1.* TO $1@'$host'"
	done
}

# What the server counted of each user: calls that did not fail, failures and rows of each kind of statement, one JSON
# object a line; what procedures return counts for their CALL. What an execution of a prepared statement was, it does not say.
mysql_counts() {
	mysql_sql performance_schema "SELECT JSON_OBJECT('database', USER,
		'query', CASE EVENT_NAME WHEN 'statement/com/Execute' THEN 'EXECUTE' WHEN 'statement/sql/set_option' THEN 'SET'
			WHEN 'statement/sql/call_procedure' THEN 'CALL' WHEN 'statement/sql/begin' THEN 'START'
			WHEN 'statement/sql/change_db' THEN 'USE' WHEN 'statement/sp/stmt' THEN 'CALL'
			ELSE UPPER(SUBSTRING(EVENT_NAME, 15)) END,
		'calls', IF(EVENT_NAME LIKE 'statement/sp/%', 0, COUNT_STAR - SUM_ERRORS), 'failed', SUM_ERRORS, 'rows', SUM_ROWS_SENT + SUM_ROWS_AFFECTED,
		'mean_ms', AVG_TIMER_WAIT / 1e9)
		FROM events_statements_summary_by_user_by_event_name WHERE USER LIKE 'm\\_%' AND COUNT_STAR > 0
		AND (EVENT_NAME LIKE 'statement/sql/%' OR EVENT_NAME IN ('statement/com/Execute', 'statement/sp/stmt'))"
}

# Begins and ends a stretch that is judged: mysql_counts in $E2E/NAME.counts.
mysql_begin() {
	mysql_sql performance_schema "TRUNCATE events_statements_summary_by_user_by_event_name; TRUNCATE users"
}
mysql_end() {
	mysql_counts >"$E2E/$1.counts"
	mysql_sql performance_schema "SELECT USER, TOTAL_CONNECTIONS FROM users WHERE USER IS NOT NULL" >"$E2E/$1.connections"
}

# --- statement by statement, for one client at a time

MYSQL_HISTORY="--performance-schema-consumer-events-statements-current=ON --performance-schema-consumer-events-statements-history-long=ON
	--performance-schema-events-statements-history-long-size=5000 --max-allowed-packet=64M"
export MYSQL_HISTORY

# Tables and a procedure to work with.
mysql_things() { # DATABASE
	mysql_sql "$1" "CREATE TABLE things (a int PRIMARY KEY, b text); CREATE TABLE log (t longtext);
		INSERT INTO things SELECT seq, CONCAT('thing ', seq) FROM seq_1_to_100"
	mysql_sql "$1" "DELIMITER |
		CREATE PROCEDURE two_sets() BEGIN SELECT a FROM things WHERE a < 3; SELECT b FROM things WHERE a < 6; END|"
}

mysql_com() { mysql_sql mysql "SHOW GLOBAL STATUS WHERE Variable_name IN ('Com_select', 'Com_insert', 'Com_update', 'Com_delete', 'Com_call_procedure')"; }

mysql_history_begin() { # NAME
	mysql_sql performance_schema "TRUNCATE events_statements_history_long"
	mysql_com >"$E2E/$1.com"
}

# What the server says of each statement of the database NAME since then, one JSON object a line, in order; then what its
# counters of kinds of statements went up by.
mysql_history_end() { # NAME
	mysql_com | paste "$E2E/$1.com" - | awk -v name="$1" '{ printf "%s\"%s\": %d", (NR > 1 ? ", " : "{\"database\": \"" name "\", \"com\": {"), $1, $4 - $2 } END { print "}}" }'
	mysql_sql performance_schema "SELECT JSON_OBJECT('database', CURRENT_SCHEMA, 'event', EVENT_NAME, 'text', SQL_TEXT,
		'ns', ROUND(TIMER_WAIT / 1000), 'rows', ROWS_SENT + ROWS_AFFECTED, 'error', MYSQL_ERRNO)
		FROM events_statements_history_long WHERE CURRENT_SCHEMA = '$1' ORDER BY TIMER_START"
}
