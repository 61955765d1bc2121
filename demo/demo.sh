#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# demo.sh [OPTION...]: starts a small shop (Django, gunicorn, PostgreSQL), visitors for it, and `sonde run OPTION...`.
#
# Everything lives in a directory of its own in /tmp and stops with Ctrl-C. The services run as `nobody` and know nothing of
# Sonde. What is installed when it is missing: the Debian packages postgresql and python3-venv (no database cluster of
# the system is made or started), and a Python environment in /var/cache/sonde.
#
# DEMO_RATE     requests per second (12)
# SONDE_CACHE   where the Python environment is kept (/var/cache/sonde)
set -euo pipefail

cd "$(dirname "$0")/.."
sonde=${SONDE:-$PWD/build/sonde}
rate=${DEMO_RATE:-12}
cache=${SONDE_CACHE:-/var/cache/sonde}
dir=
pids=()

say() { printf '%-9s %s\n' "$1" "$2"; }

fail() {
	printf 'error: %s\n' "$1" >&2
	[ -z "${2:-}" ] || tail -n 15 "$2" >&2
	exit 1
}

# shellcheck disable=SC2317 # a trap calls it
stop_all() {
	local i left=100
	trap - EXIT INT TERM HUP
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		kill -INT "${pids[i]}" 2>/dev/null || continue
		while kill -0 "${pids[i]}" 2>/dev/null && [ "$left" -gt 0 ]; do
			sleep 0.05
			left=$((left - 1))
		done
		kill -KILL "${pids[i]}" 2>/dev/null || true
	done
	[ -z "$dir" ] || rm -rf "$dir"
}

# service LOG COMMAND...: in the background, without power, ended with this script whatever happens to it
service() {
	local log=$dir/$1.log
	shift
	setsid env --default-signal=INT setpriv --reuid=nobody --regid=nogroup --clear-groups --no-new-privs --pdeathsig INT -- \
		"$@" </dev/null >"$log" 2>&1 &
	pids+=($!)
}

as_nobody() { setpriv --reuid=nobody --regid=nogroup --clear-groups -- "$@"; }

# until_true SECONDS WHAT LOG COMMAND...
until_true() {
	local left=$(($1 * 20)) what=$2 log=$3
	shift 3
	until "$@" >/dev/null 2>&1; do
		left=$((left - 1))
		[ $left -gt 0 ] || fail "$what did not start; the end of its log:" "$log"
		sleep 0.05
	done
}

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

port_from() {
	local port=$1
	while listens "$port"; do port=$((port + 1)); done
	echo "$port"
}

newest_postgres() { find /usr/lib/postgresql -path '*/bin/postgres' 2>/dev/null | sort -V | tail -n 1; }

apt_install() {
	DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@" >"$dir/apt.log" 2>&1 ||
		fail "apt-get could not install $*; its last lines:" "$dir/apt.log"
}

# Debian makes and starts a cluster when the server is installed, unless createcluster.conf says no.
install_postgres() {
	local conf=/etc/postgresql-common/createcluster.conf
	say packages "installing postgresql (no cluster of the system is made or started)"
	apt-get update -q >"$dir/apt.log" 2>&1 || true
	apt_install postgresql-common
	cp -p "$conf" "$dir/createcluster.conf"
	sed -i '/^[# ]*create_main_cluster/d' "$conf"
	echo 'create_main_cluster = false' >>"$conf"
	(apt_install postgresql) || { cp -p "$dir/createcluster.conf" "$conf" && exit 1; }
	cp -p "$dir/createcluster.conf" "$conf"
}

prepare() {
	command -v apt-get >/dev/null || [ -n "$(newest_postgres)" ] || fail "needs PostgreSQL, and there is no apt-get to install it with"
	[ -n "$(newest_postgres)" ] || install_postgres
	pg=$(dirname "$(newest_postgres)")
	PATH=/usr/bin:/bin:$PATH
	if ! python3 -c 'import ensurepip' 2>/dev/null; then
		say packages "installing python3-venv"
		apt_install python3-venv
	fi
	venv=$(SONDE_CACHE=$cache tests/referees/venv.sh --cached 2>/dev/null) || {
		say python "installing Django, gunicorn and psycopg2 into $cache (half a minute, once)"
		venv=$(SONDE_CACHE=$cache tests/referees/venv.sh 2>"$dir/venv.log") || fail "the Python packages could not be installed:" "$dir/venv.log"
	}
	as_nobody "$venv/bin/python" -c 'import django' 2>/dev/null ||
		fail "$venv cannot be used by the user nobody. Set SONDE_CACHE to a folder that everybody can read."
}

start_database() {
	say database "starting PostgreSQL in $dir"
	db_port=$(port_from 15432)
	as_nobody "$pg/initdb" -D "$dir/pg" -U shop -A trust --no-sync -E UTF8 --locale=C >"$dir/initdb.log" 2>&1 ||
		fail "initdb failed:" "$dir/initdb.log"
	# TLS, as Debian's own clusters have it: what is on the wire cannot be read.
	as_nobody openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
		-keyout "$dir/pg/server.key" -out "$dir/pg/server.crt" >"$dir/openssl.log" 2>&1 || fail "openssl failed:" "$dir/openssl.log"
	chmod 600 "$dir/pg/server.key"
	service postgresql "$pg/postgres" -D "$dir/pg" -c "port=$db_port" -c listen_addresses=127.0.0.1 \
		-c "unix_socket_directories=$dir/pg" -c ssl=on -c fsync=off -c autovacuum=off
	until_true 20 PostgreSQL "$dir/postgresql.log" "$pg/pg_isready" -q -h "$dir/pg" -p "$db_port" -d postgres
	export SHOP_DB_HOST=127.0.0.1 SHOP_DB_PORT=$db_port SHOP_DB_NAME=shop SHOP_DRIVER=psycopg2 PYTHONDONTWRITEBYTECODE=1
	as_nobody "$pg/createdb" -h "$dir/pg" -p "$db_port" -U shop shop
	{ as_nobody "$venv/bin/python" "$dir/shop/manage.py" migrate && as_nobody "$venv/bin/python" "$dir/shop/manage.py" seed; } \
		>"$dir/migrate.log" 2>&1 || fail "the database could not be filled:" "$dir/migrate.log"
}

start_shop() {
	shop_port=$(port_from 8000)
	say shop "starting gunicorn with 3 workers: http://127.0.0.1:$shop_port/"
	service gunicorn "$venv/bin/gunicorn" --chdir "$dir/shop" --bind "127.0.0.1:$shop_port" --workers 3 --threads 2 \
		--keep-alive 30 --worker-tmp-dir /dev/shm shop.wsgi:application
	until_true 30 "the shop" "$dir/gunicorn.log" listens "$shop_port"
	service visitors "$venv/bin/python" "$dir/load.py" "127.0.0.1:$shop_port" "$rate"
	say visitors "$rate requests per second; DEMO_RATE changes it"
}

[ "$(id -u)" = 0 ] || fail "observing needs root. Run: sudo make demo"
[ -x "$sonde" ] || fail "$sonde is not there. Run: make"

trap stop_all EXIT
trap 'exit 130' INT TERM HUP
dir=$(mktemp -d /tmp/sonde-demo.XXXXXX)
cp -r demo/shop demo/load.py "$dir"
chown -R nobody:nogroup "$dir"
chmod 755 "$dir"
prepare
start_database
start_shop

# The visitors are clients on the same host, so Sonde would show each request from both ends.
printf 'select:\n  exclude:\n    - command: "*/load.py *"\n' >"$dir/sonde.yaml"
[[ " $* " == *" --config"* ]] || set -- --config "$dir/sonde.yaml" "$@"

# Sonde is told to stop by us alone, once: the terminal's Ctrl-C reaches this script and not its own session.
setsid env --default-signal=INT "$sonde" run "$@" &
observer=$!
trap 'kill -INT $observer 2>/dev/null || true' INT
trap 'kill -TERM $observer 2>/dev/null || true' TERM HUP
status=0
wait $observer || status=$?
while kill -0 $observer 2>/dev/null; do # a signal woke us, not the end of Sonde
	wait $observer || true
done
[ $status -le 128 ] || { status=0 && wait $observer || status=$?; }
exit $status
