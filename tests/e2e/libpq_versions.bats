#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# libpq 13 to 18, each by its own functions, over TLS: app/libpq_calls.py with the library of Debian and those that the
# wheels of psycopg2-binary and psycopg-binary bring. pg_stat_statements is the referee for calls and rows.

bats_require_minimum_version 1.5.0
# shellcheck source=tests/e2e/lib/all.bash
source "$BATS_TEST_DIRNAME/lib/all.bash"

ROUNDS=3

setup_file() {
	e2e_missing root venv postgres openssl && return 0
	e2e_begin
	pg_start
	local backend version library
	"$E2E_ROOT/tests/referees/libpq.sh" >"$E2E/libraries" || {
		echo "libpq of other versions: see $E2E/libraries" >&2
		return 1
	}
	debian >>"$E2E/libraries"
	sed -i -nE "/${LIBPQ_ONLY:-.}/p" "$E2E/libraries"
	pg_sql postgres "CREATE DATABASE calls OWNER shop"
	pg_sql calls "SET ROLE shop; CREATE TABLE log (t text)"
	while read -r version _ library; do
		for part in first calls functions; do
			pg_sql postgres "CREATE DATABASE ${part}_$version TEMPLATE calls OWNER shop"
		done
	done <"$E2E/libraries"
	# Others on this host may have OpenSSL probed, which then tells.
	printf 'select:\n  include:\n    - command: "*libpq_calls.py*port=%s *"\n' "$PGPORT" >"$E2E/sonde.yaml"
	for backend in $E2E_BACKENDS; do
		pg_begin "$backend"
		sonde_start "$backend" "$backend" --config "$E2E/sonde.yaml" --record "$E2E/$backend.rec"
		# The first of all to use a library may be faster than its probes.
		while read -r version _ library; do
			e2e_wait 30 probed "$backend" "$version" "$library"
		done <"$E2E/libraries"
		while read -r version _ library; do
			calls "$backend" calls "$version" "$library"
			calls "$backend" functions "$version" "$library" functions
		done <"$E2E/$backend.libraries"
		killed "$backend"
		sonde_stop "$backend"
		pg_end "$backend"
	done
}

# Debian's own, with an OpenSSL that no other program on this host has probed.
debian() {
	local from
	from=$(echo /usr/lib/*/libpq.so.5)
	from=${from%%/libpq.so.5*}
	mkdir "$E2E/debian"
	cp "$from"/libssl.so.3 "$from"/libcrypto.so.3 "$E2E/debian/"
	cp "$(realpath "$from/libpq.so.5")" "$E2E/debian/"
	echo "debian Debian $(echo "$E2E"/debian/libpq.so.*)"
	# The same with a function that no probe can be put on, which nobody calls: the others must not do without.
	cp -r "$E2E/debian" "$E2E/patched"
	python3 - "$E2E"/patched/libpq.so.* <<-'PY'
		import subprocess, sys
		run = lambda *a: subprocess.run([*a, sys.argv[1]], capture_output=True, text=True, check=True).stdout
		at = next(int(l.split()[0], 16) for l in run("nm", "-D").splitlines() if l.endswith(" PQrequestCancel"))
		text = next(l.split() for l in run("readelf", "-SW").replace("[ ", "[").splitlines() if " .text " in l)
		with open(sys.argv[1], "r+b") as f:
		    f.seek(at - int(text[3], 16) + int(text[4], 16))
		    f.write(b"\xcc" * 16)  # a trap of its own
	PY
	echo "patched Debian-patched $(echo "$E2E"/patched/libpq.so.*)"
}

# $TRY: to be told apart from others of that name.
calls() { # BACKEND NAME VERSION LIBRARY [PART]
	local of=$2_$3 as=$2_$3${TRY:-} rounds=$ROUNDS
	# the wheels' libraries find theirs by the module that they are for
	LD_LIBRARY_PATH=$(dirname "$4") OTEL_SERVICE_NAME=$as.$E2E_ID "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/libpq_calls.py" "$4" \
		"host=127.0.0.1 port=$PGPORT user=shop dbname=$of sslmode=require gssencmode=disable" $rounds ${5+"$5"} \
		>"$E2E/$1-$as.did" 2>"$E2E/$1-$as.log" || {
		tail -5 "$E2E/$1-$as.log" >&2
		return 1
	}
}

# Has the library probed, in a copy of its own: a file that maps OpenSSL may have that probed first, on a busy host, which
# then tells for as long as it is used.
probed() { # BACKEND VERSION LIBRARY
	local dir=$E2E/$1-$2.$RANDOM
	local TRY=.${dir##*.}
	cp -r "$(dirname "$3")" "$dir"
	for _ in 1 2 3 4; do
		calls "$1" first "$2" "$dir/$(basename "$3")" functions
		sleep 0.3 # for the export
		told "$1" "$2" && echo "$2 - $dir/$(basename "$3")" >>"$E2E/$1.libraries" && return 0
	done
	return 1
}
told() { did "$1" "first_$2$TRY" | grep -q "told by libpq: {'libpq'}"; }

# In the middle of a statement. What the kernel side kept of it goes with the next sweep, every ten seconds.
killed() { # BACKEND
	local library
	library=$(awk 'NR == 1 { print $3 }' "$E2E/$1.libraries")
	e2e_start "hang-$1" env OTEL_SERVICE_NAME="hang.$E2E_ID" LD_LIBRARY_PATH="$(dirname "$library")" "$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/libpq_calls.py" "$library" \
		"host=127.0.0.1 port=$PGPORT user=shop dbname=calls sslmode=require gssencmode=disable" 1 hang
	e2e_wait 10 e2e_logged "hang-$1" hangs
	e2e_stop "hang-$1" KILL
	e2e_wait 25 left "$1"
}

left() {
	"$E2E_PYTHON" "$E2E_TOOLS/e2e_check.py" events --otlp "$E2E/otlp-$1" --reason libpq_left --least 1
}

teardown_file() { e2e_end; }
setup() { e2e_need root venv postgres openssl; }

version() { # MAJOR
	local backend state errors rc=0
	grep -q "^$1 " "$E2E/libraries" || {
		echo "no libpq $1 here"
		return 1
	}
	for backend in $E2E_BACKENDS; do
		echo "# libpq $1 on $backend"
		errors=()
		for state in 57014 42P05; do # cancelled; prepared under a name that is taken
			errors+=("$state=$(pg_errors "$backend" "calls_$1" $state)")
		done
		e2e_check statements --otlp "$E2E/otlp-$backend" --service "calls_$1" --counts "$E2E/$backend.counts" \
			--database "calls_$1" --errors "${errors[@]}" || rc=1
		did "$backend" "calls_$1" || rc=1
		did "$backend" "functions_$1" || rc=1
	done
	return $rc
}

did() { # BACKEND SERVICE
	"$E2E_PYTHON" "$E2E_TOOLS/libpq_check.py" --otlp "$E2E/otlp-$1" --service "$2" --did "$E2E/$1-$2.did" \
		--record "$E2E/$1.rec"
}

@test "Debian's libpq over TLS" { version debian; }
@test "a libpq with a function that cannot be probed, over TLS" { version patched; }
@test "libpq 13 over TLS" { version 13; }
@test "libpq 14 over TLS" { version 14; }
@test "libpq 15 over TLS" { version 15; }
@test "libpq 16 over TLS" { version 16; }
@test "libpq 17 over TLS" { version 17; }
@test "libpq 18 over TLS" { version 18; }
