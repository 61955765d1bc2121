#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# inside.sh TOOLS [BACKEND...]: what a guest does. It judges nothing: what it saw goes to the host as one archive, in which each
# stage has a folder (judge.sh reads them). TOOLS is the folder of tools.sh. SONDE_VENV names the Python environment.
#
#   check/     sonde check, and what the verifier said of each program
#   BACKEND/   observing requests, statements on TCP, a Unix socket and TLS, with what the clients and PostgreSQL counted
#   no_btf/ no_bpf/ no_caps/ nobody/  what sonde says where something is refused
#   lockdown/  of all these alone, when there is no BACKEND: what it says under this kernel
#   dmesg
set -uo pipefail
tools=$1
shift
# shellcheck source=tests/e2e/lib/all.bash
. tests/e2e/lib/all.bash

E2E=/run/tmp/e2e E2E_ID=guest E2E_PYTHON=$SONDE_VENV/bin/python
PGPORT=15432 PGHOST=/run/tmp/pg PGUSER=postgres
E2E_PATIENCE=6 # an emulated processor on a busy host
export E2E E2E_ID E2E_PYTHON E2E_PATIENCE PGPORT PGHOST PGUSER
SONDE=$tools/sonde
mkdir -p "$E2E"
chmod 755 "$E2E"
: >"$E2E/started"
requests=60 rounds=6

said() { echo "$(cut -d ' ' -f 1 /proc/uptime) s: $*"; }

# says FOLDER COMMAND...: what a person sees of `sonde check` and `sonde run` when COMMAND wraps it
says() {
	local to=$E2E/$1 what
	shift
	mkdir -p "$to"
	for what in check run; do
		timeout 120 "$@" "$SONDE" "$what" >"$to/$what.out" 2>"$to/$what.err" </dev/null
		echo $? >"$to/$what.rc"
	done
}

check() {
	mkdir -p "$E2E/check"
	BPF_STATS=$E2E/check/verifier LD_PRELOAD=$tools/bpf_stats.so "$SONDE" check >"$E2E/check/text" 2>&1
	echo $? >"$E2E/check/rc"
}

refusals() {
	# shellcheck disable=SC2016 # for the inner shell
	says no_btf unshare --mount sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' sh
	says no_bpf "$tools/without_bpf"
	says no_caps setpriv --bounding-set=-all --inh-caps=-all
	says nobody setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all
}

database() {
	mkdir -p "$PGHOST" /run/tmp/cluster
	mount --bind "$tools/pg" /run/tmp/cluster # postgres may not walk to where it is
	chown postgres:postgres "$PGHOST"
	(cd / && e2e_start pg setpriv --reuid=postgres --regid=postgres --clear-groups -- "$PG_BIN/postgres" \
		-D /run/tmp/cluster/data -c port=$PGPORT -c unix_socket_directories="$PGHOST")
}

service() { # NAME PORT CONNINFO
	e2e_start "$1" env OTEL_SERVICE_NAME="$1.$E2E_ID" "$E2E_PYTHON" tests/kernels/service.py "$2" \
		"user=shop dbname=$1 port=$PGPORT $3"
}

services() {
	service web_tcp 18001 "host=127.0.0.1 sslmode=disable"
	service web_unix 18002 "host=$PGHOST"
	service web_tls 18003 "host=127.0.0.1 sslmode=require"
	e2e_wait 120 "$PG_BIN/pg_isready" -q -d postgres
	local port
	for port in 18001 18002 18003; do
		e2e_wait 120 e2e_listens $port
	done
}

client() { # NAME CONNINFO [PART]
	OTEL_SERVICE_NAME=$1.$E2E_ID "$tools/libpq_client" "$2 port=$PGPORT user=shop dbname=$1" $rounds ${3+"$3"}
}

traffic() { # BACKEND
	local mix=orders=4,write=2,plain=2,zero=1,missing=1,head=1
	load_start "$1-web_tcp" 127.0.0.1:18001 --requests $requests --conns 2 --keep-alive --mix $mix
	load_start "$1-web_unix" 127.0.0.1:18002 --requests $requests --conns 2 --mix $mix
	load_start "$1-web_tls" 127.0.0.1:18003 --requests $requests --conns 2 --keep-alive --mix $mix
	client c_tcp "host=127.0.0.1 sslmode=disable"
	client c_unix "host=$PGHOST"
	client c_tls "host=127.0.0.1 sslmode=require" calls
	OTEL_SERVICE_NAME=calls.$E2E_ID "$tools/socket_calls" $rounds >"$E2E/$1/made"
	load_wait "$1-web_tcp" && load_wait "$1-web_unix" && load_wait "$1-web_tls"
}

observe() { # BACKEND
	local backend=$1 to=$E2E/$1 name
	mkdir -p "$to"
	if ! sonde_start "$backend" "$backend" 2>"$to/start.err"; then
		cp "$E2E/sonde-$backend.log" "$to/log"
		cp "$E2E/sonde-$backend.rc" "$to/rc" 2>/dev/null || echo none >"$to/rc"
		e2e_stop "sonde-$backend"
		e2e_stop "receiver-$backend"
		return
	fi
	bpftool -j prog show | jq '[.[].bytes_memlock // 0] | add' >"$to/program_bytes"
	pg_begin "$backend"
	traffic "$backend" >"$to/traffic.log" 2>&1
	echo $? >"$to/traffic.rc"
	bpftool -j prog show | jq -c '.[] | select(.recursion_misses) | [.name, .recursion_misses]' >"$to/missed"
	sonde_stop "$backend" >"$to/stop.log" 2>&1
	pg_end "$backend"
	cp "$E2E/sonde-$backend.log" "$to/log"
	cp "$E2E/sonde-$backend.rc" "$to/rc"
	cp "$E2E/sonde-$backend.out" "$to/out"
	for name in counts pglog; do
		cp "$E2E/$backend.$name" "$to/$name"
	done
	cp "$E2E/$backend"-web_*.jsonl "$to/"
	mv "$E2E/otlp-$backend" "$to/otlp"
}

if [ $# = 0 ]; then
	says lockdown env
	dmesg >"$E2E/dmesg"
	cd "$E2E" && tar -cf /dev/virtio-ports/data lockdown dmesg
	exit
fi
said "checks"
database
services &
check
wait $!
for backend in "$@"; do
	said "$backend"
	observe "$backend"
done
said "refusals"
refusals
dmesg >"$E2E/dmesg"
said "done"
e2e_stop pg INT
cp "$E2E/pg.log" "$E2E/check/"
cd "$E2E" && tar -cf /dev/virtio-ports/data check no_* nobody dmesg "$@"
