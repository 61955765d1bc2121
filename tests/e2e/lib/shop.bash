# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The demo's Django project under gunicorn, with the pages of tests/e2e/app. Unmodified as far as Sonde is concerned.

SHOP_PATH=$E2E_ROOT/demo/shop:$E2E_ROOT/tests/e2e/app
export SHOP_PATH

shop_env() {
	env PYTHONPATH="$SHOP_PATH" DJANGO_SETTINGS_MODULE=e2e_settings SHOP_DB_PORT="$PGPORT" "$@"
}

# The database that all others are copied from.
shop_template() {
	pg_sql postgres "CREATE DATABASE shop_template OWNER shop"
	shop_env SHOP_DB_NAME=shop_template SHOP_DB_HOST="$PGHOST" "$E2E_PYTHON" "$E2E_ROOT/demo/shop/manage.py" migrate -v0
	shop_env SHOP_DB_NAME=shop_template SHOP_DB_HOST="$PGHOST" "$E2E_PYTHON" "$E2E_ROOT/demo/shop/manage.py" seed --orders 1000
}

# shop_start NAME DRIVER TRANSPORT WORKER [VARIABLE=VALUE...]: database NAME, service NAME, port in $E2E/NAME.port.
# DRIVER psycopg2, psycopg3; TRANSPORT tls, tcp, unix; WORKER sync, gthread. SHOP_BIND overrides the address,
# SHOP_ALIASES=0 gives every request aliases of its own.
shop_start() {
	local name=$1 driver=$2 transport=$3 worker=$4 host=127.0.0.1 sslmode=disable port threads=1
	shift 4
	[ "$worker" = gthread ] && threads=4
	[ "$transport" = unix ] && host=$PGHOST
	[ "$transport" = tls ] && sslmode=require
	port=$(e2e_port)
	echo "$port" >"$E2E/$name.port"
	pg_sql postgres "CREATE DATABASE $name TEMPLATE shop_template OWNER shop"
	e2e_start "$name" env PYTHONPATH="$SHOP_PATH" DJANGO_SETTINGS_MODULE=e2e_settings OTEL_SERVICE_NAME="$name.$E2E_ID" SHOP_ALIASES=20 \
		SHOP_DB_PORT="$PGPORT" SHOP_DB_NAME="$name" SHOP_DB_HOST="$host" SHOP_DB_SSLMODE="$sslmode" SHOP_DRIVER="$driver" "$@" \
		"$E2E_PYTHON" -m gunicorn --bind "${SHOP_BIND:-127.0.0.1:$port}" --workers 3 --worker-class "$worker" \
		--threads "$threads" --keep-alive 75 --graceful-timeout 10 --access-logfile "$E2E/$name.access" \
		--access-logformat '%(s)s %(m)s %(U)s' --worker-tmp-dir /dev/shm shop.wsgi:application
}

shop_ready() { e2e_wait 30 e2e_listens "$(cat "$E2E/$1.port")" && e2e_wait 30 shop_booted "$1" "${2:-3}"; }
shop_booted() { [ "$(grep -c 'Booting worker' "$E2E/$1.log")" -ge "$2" ]; }
shop_url() { echo "127.0.0.1:$(cat "$E2E/$1.port")"; }
