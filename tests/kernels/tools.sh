#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# tools.sh FOLDER: what the guests need: the product, as it is now; a C client of libpq, a refusal of bpf(), a listener to the
# verifier, and in pg a PostgreSQL cluster, made here because emulation takes half a minute for it. A guest writes to
# its own overlay of it.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=tests/e2e/lib/all.bash
. tests/e2e/lib/all.bash
into=$1
trap e2e_end EXIT
e2e_begin
pg_start
for database in web_tcp web_unix web_tls c_tcp c_unix c_tls; do
	pg_sql postgres "CREATE DATABASE $database OWNER shop"
done
for database in web_tcp web_unix web_tls; do
	pg_sql "$database" "CREATE TABLE things AS SELECT n FROM generate_series(1, 100) n; CREATE TABLE notes (t text);
		ALTER TABLE things OWNER TO shop; ALTER TABLE notes OWNER TO shop"
done
e2e_stop pg INT
rm -rf "$into/pg"
mkdir -p "$into"
cp build/sonde "$into/sonde"
mv "$E2E/pg" "$into/pg"
compile() { gcc -std=gnu11 -Wall -Wextra -Werror -O1 "$@"; }
compile -I/usr/include/postgresql -o "$into/libpq_client" tests/e2e/app/libpq_client.c -lpq
compile -o "$into/socket_calls" tests/tools/socket_calls.c -luring
compile -o "$into/cost" tests/tools/cost.c
compile -o "$into/without_bpf" tests/tools/without_bpf.c -lseccomp
compile -fPIC -shared -o "$into/bpf_stats.so" tests/tools/bpf_stats.c -ldl
