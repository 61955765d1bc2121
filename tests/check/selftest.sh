#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2317,SC2031 # functions are called through expect; the subshell of tap is wanted
# selftest.sh: the checks and the test runner themselves. A small correct tree must pass each check, and each mistake
# planted into it must be found and named.
set -uo pipefail
checks=$(cd "$(dirname "$0")" && pwd)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
status=0

# expect pass|fail WHAT PATTERN COMMAND...
expect() {
	local want=$1 what=$2 pattern=$3 got=pass output
	shift 3
	output=$("$@" 2>&1) || got=fail
	if [ "$got" != "$want" ] || ! grep -qE -- "$pattern" <<<"$output"; then
		printf '%s: expected %s and "%s", got %s:\n%s\n' "$what" "$want" "$pattern" "$got" "$output"
		status=1
	fi
}

# planted CHECK PATTERN FILE TEXT: with TEXT appended to FILE the check fails; then the file is as before.
planted() {
	local check=$1 pattern=$2 file=$root/$3 kept
	kept=$(mktemp "$root/kept.XXXXXX")
	[ ! -e "$file" ] || cp "$file" "$kept"
	mkdir -p "$(dirname "$file")"
	printf '%b\n' "$4" >>"$file"
	expect fail "$check with a mistake planted in $3" "$pattern" "$checks/$check.sh" "$root"
	if [ -s "$kept" ]; then mv "$kept" "$file"; else rm "$file" "$kept"; fi
}

lines() { # TEXT N
	# shellcheck disable=SC2059 # TEXT has escapes
	printf "$1%.0s" $(seq "$2")
}

make_tree() {
	local spdx='/* SPDX-License-Identifier: Apache-2.0 */' both='/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */'
	cd "$root" || exit 1
	mkdir -p bpf/core bpf/attach include user/{util,model,proto,export,keeper,worker} tests/unit docs demo deploy .ci
	cp "$checks/../../.clang-format" .
	for file in user/util/a.c user/model/a.c user/keeper/a.c user/worker/a.c tests/unit/a.c; do
		printf '%s\n#include "util/a.h"\n\nint f(void)\n{\n\treturn 0;\n}\n' "$spdx" >"$file"
	done
	printf '%s\n\nint g(void);\n' "$both" | tee include/a.h bpf/core/a.bpf.c bpf/attach/a.bpf.c >/dev/null
	printf '#include "proto/proto.h"\n' >>user/worker/a.c
	printf '%s\nKERNEL_DROP(ring_full, "x")\n' "$both" >include/drops.def
	printf '%s\nMETRIC(A, "a.duration", "s", X,\n       "x")\n' "$spdx" >user/model/metrics.def
	printf '%s\nPROTO(http1)\n' "$spdx" >user/proto/protocols.def
	printf '%s\nEXPORTER(otlp)\n' "$spdx" >user/export/exporters.def
	echo '"--queue-size", a.duration, http1, otlp, and ring_full.' >README.md
	printf '# x\n' >docs/x.md
	printf '  --queue-size N  how many\n' >help
	printf 'all:\n' >Makefile
}

test_checks() {
	for check in format licence layers size; do
		expect pass "$check" '' "$checks/$check.sh" "$root"
	done
	planted format 'user/util/a.c:.*clang-format' user/util/a.c 'int  x;'
	planted licence 'user/util/b.c: no SPDX' user/util/b.c 'int x;'
	planted licence 'include/b.h: is compiled into BPF' include/b.h '/* SPDX-License-Identifier: Apache-2.0 */'
	planted layers 'proto must not include export/otlp.h' user/proto/b.c '#include "export/otlp.h"'
	planted layers 'proto must not include util/log.h' user/proto/b.c '#include "util/log.h"'
	planted layers 'keeper must not include proto/proto.h' user/keeper/a.c ' # include "proto/proto.h"'
	planted layers 'worker must not include keeper/keeper.h' user/worker/a.c '#include "keeper/keeper.h"'
	planted layers 'must not include bpf/core/a.h' user/model/a.c '#include "bpf/core/a.h"'
	planted layers 'user/other has no row' user/other/a.c '#include "util/a.h"'
	planted layers 'bpf/core/a.bpf.c:.*SEC' bpf/core/a.bpf.c 'SEC("?fentry/x")'
	planted size 'user/util/b.c: 601 lines' user/util/b.c "$(lines 'int x;\n' 600)\nint x;"
	planted size 'f\(\) has 61 lines' user/util/b.c "int f(void)\n{\n$(lines '\tg();\n' 61)\n}"
	planted size 'f\(\) has 61 lines' user/util/b.c "/* Adds. */\nstatic int *f(int a,\n\t int b)\n{\n$(lines '\tg();\n' 61)\n}"
	printf '%b\n' "/* Long: one case each. */\nint f(void)\n{\n$(lines '\tg();\n' 61)\n}" >user/util/c.c
	expect pass "size of an explained function" '' "$checks/size.sh" "$root"
}

test_docs() {
	local row
	expect pass docs '' "$checks/docs.sh" "$root" help
	for row in "option --queue:help:  --queue N" "protocol redis:user/proto/protocols.def:PROTO(redis)" \
		"exporter console:user/export/exporters.def:EXPORTER(console)" \
		"metric a.dur:user/model/metrics.def:METRIC(B, \"a.dur\", \"s\", X, \"x\")" \
		"drop reason ring:include/drops.def:USER_DROP(ring, \"x\")"; do
		IFS=: read -r what file text <<<"$row"
		cp "$file" kept
		echo "$text" >>"$file"
		expect fail "docs without $what" "$what is in neither" "$checks/docs.sh" "$root" help
		mv kept "$file"
	done
	: >empty
	expect fail "docs without any option" 'no option was found' "$checks/docs.sh" "$root" empty
}

test_commits() {
	echo 'util: add a buffer' >subjects
	expect pass commits '' "$checks/commits.sh" "$root/subjects"
	echo 'Added a buffer' >subjects
	expect fail "a commit without area" 'not "area' "$checks/commits.sh" "$root/subjects"
	echo "util: $(lines a 70)" >subjects
	expect fail "a long commit subject" 'longer than 72' "$checks/commits.sh" "$root/subjects"
}

# tap NAME THEN TEXT: runs the runner's own counting over a test program that prints TEXT, THEN does that.
tap() {
	printf '#!/bin/sh\nprintf "%s"\n%s\n' "$3" "$2" >program
	chmod +x program
	(
		out=$root/out results=$root/results command_timeout=5
		mkdir -p "$out"
		: >"$results"
		# shellcheck source=tests/run_report.sh
		. "$checks/../run_report.sh"
		start_tap "$1" 2 ./program
		finish_tap unit "$1"
		require_results unit
		report
	)
}

test_runner() {
	expect pass "two passed tests" '^2 passed, 0 failed, 0 skipped' tap a 'exit 0' '1..2\nok 1 - x\nok 2 y in 3ms\n'
	expect pass "skips" 'skipped   unit: a: z \(no root\)' tap a 'exit 0' '1..3\nok 1 x\nnot ok 2 # SKIP y\nok 3 z in 1ms # skip no root\n'
	expect fail "a failed test" '^1 passed, 1 failed, 0 skipped' tap a 'exit 1' '1..2\nok 1 - x\nnot ok 2 - y\n'
	expect fail "a crash" '^1 passed, 1 failed, 0 skipped' tap a 'exit 139' '1..3\nok 1 - x\n'
	expect fail "a crash at the end" '^1 passed, 1 failed, 0 skipped' tap a 'exit 1' '1..1\nok 1 - x\n'
	expect fail "no tests" 'ran no test' tap a 'exit 0' ''
	expect fail "no tests planned" 'ran no test' tap a 'exit 0' '1..0\n'
	expect fail "only skips" '^0 passed, 0 failed, 1 skipped' tap a 'exit 0' '1..1\nok 1 x # skip y\n'
	expect fail "a hang" 'ended after 2 s: 1 tests did not report' tap a 'sleep 9' '1..2\nok 1 - x\n'
}

make_tree
test_checks
test_docs
test_commits
test_runner
exit $status
