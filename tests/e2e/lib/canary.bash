# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash

# canary_recorded: a recording is what services said to each other; but no password is in it, and nothing secret comes out when it
# is replayed. $E2E/BACKEND.rec, and $E2E/BACKEND.*.secrets with those of it that it must never have in .never.
canary_recorded() {
	local backend mode files
	for backend in $E2E_BACKENDS; do
		echo "# $backend"
		mapfile -t files < <(printf '%s\n' "$E2E/$backend".*.secrets)
		[ "$(stat -c %a "$E2E/$backend.rec")" = 600 ]
		cat "${files[@]/%/.never}" >"$E2E/never"
		[ -s "$E2E/never" ]
		run grep -aoF -f "$E2E/never" "$E2E/$backend.rec"
		# shellcheck disable=SC2154 # run sets them
		[ "$status" = 1 ] || { echo "in the recording: ${#lines[@]} passwords" && return 1; }
		"$SONDE" replay --format json "$E2E/$backend.rec" >"$E2E/$backend.again" 2>&1
		[ "$(grep -c shown "$E2E/$backend.again")" -gt 500 ]
		for mode in "${files[@]}"; do
			"$E2E_PYTHON" "$BATS_TEST_DIRNAME/app/canaries.py" --find "$mode" "$E2E/$backend.again"
		done
	done
}
