#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
#
# What a person meets first: help, version, mistakes with the place to correct them, and exit statuses. No service is
# observed here; what needs root is told from what does not.

# shellcheck disable=SC2154 # stderr_lines is set by run --separate-stderr
bats_require_minimum_version 1.5.0

setup() {
	SONDE=${SONDE:-$BATS_TEST_DIRNAME/../../build/sonde}
	[ -x "$SONDE" ] || skip "needs $SONDE: run make"
	cd "$BATS_TEST_TMPDIR" || return 1
	unset "${!OTEL_@}" NO_COLOR
}

# As somebody without any privilege. The binary is copied: its folder may not be open to all.
as_nobody() {
	[ "$(id -u)" = 0 ] || skip "needs root, to become nobody"
	local dir
	dir=$(mktemp -d /tmp/sonde-cli.XXXXXX)
	chmod 755 "$dir"
	cp "$SONDE" "$dir/sonde"
	chmod 755 "$dir/sonde"
	local status=0
	(cd / && timeout 20 setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all "$dir/sonde" "$@") || status=$?
	rm -rf "$dir"
	return $status
}

# What went wrong is one line on standard error, and nothing is on standard output. $stderr is bats' run --separate-stderr.
says() { # STATUS TEXT
	[ "$status" -eq "$1" ] || { echo "status $status, not $1: $output $stderr" && return 1; }
	[[ $stderr == *"$2"* ]] || { echo "expected '$2' in: $stderr" && return 1; }
	[ -z "$output" ] || { echo "on standard output: $output" && return 1; }
}

@test "--help lists the commands and flags" {
	for help in --help -h help; do
		run --separate-stderr "$SONDE" "$help"
		[ "$status" -eq 0 ]
		[ -z "$stderr" ]
		for word in "sonde run" "sonde check" "sonde replay FILE" --config --duration --format --backend --record --color; do
			[[ $output == *"$word"* ]] || { echo "no $word" && return 1; }
		done
	done
}

@test "run --help lists the settings and their variables" {
	run --separate-stderr "$SONDE" run --duration 5 --help
	[ "$status" -eq 0 ]
	for word in otlp.endpoint OTEL_EXPORTER_OTLP_ENDPOINT traces.sampler OTEL_TRACES_SAMPLER select.include; do
		[[ $output == *"$word"* ]] || { echo "no $word" && return 1; }
	done
}

@test "the help of another command has only its own flags" {
	run --separate-stderr "$SONDE" replay --help
	[ "$status" -eq 0 ]
	[[ $output == *$'\n  --format '* && $output != *$'\n  --record '* ]]
	run --separate-stderr "$SONDE" check --help
	[ "$status" -eq 0 ]
	[[ $output == *$'\n  --backend '* && $output != *$'\n  --duration '* ]]
}

@test "--version prints the version" {
	run --separate-stderr "$SONDE" --version
	[ "$status" -eq 0 ]
	[[ $output =~ ^sonde\ [0-9]+\.[0-9]+\.[0-9]+$ ]]
}

@test "no command" {
	run --separate-stderr "$SONDE"
	says 2 "error: expected a command, got nothing"
}

@test "an unknown command, with the nearest one" {
	run --separate-stderr "$SONDE" rnu
	says 2 "error: 'rnu' is not a command; did you mean 'sonde run'?"
	[ "${#stderr_lines[@]}" -eq 1 ]
	run --separate-stderr "$SONDE" dance
	says 2 "error: 'dance' is not a command; 'sonde --help' lists them"
}

@test "an unknown flag, with the nearest one" {
	run --separate-stderr "$SONDE" run --fromat json
	says 2 'error: "--fromat": no such flag; did you mean --format?'
	run --separate-stderr "$SONDE" run -x
	says 2 'error: "-x": no such flag'
}

@test "each flag says what it takes" {
	while read -r flag expected; do
		run --separate-stderr "$SONDE" run "--$flag=?"
		says 2 "error: --$flag: expected $expected"
		run --separate-stderr "$SONDE" run "--$flag"
		says 2 "error: --$flag: expected $expected"
	done <<-END
		duration a number of seconds
		format one of text, json
		backend one of auto, tp_btf, fentry, kprobe, syscall
		color one of auto, always, never
	END
	run --separate-stderr "$SONDE" run --record
	says 2 "error: --record: expected the name of a file"
	run --separate-stderr "$SONDE" run --config
	says 2 "error: --config: expected the name of a file"
}

@test "flags of another command and stray arguments are refused" {
	run --separate-stderr "$SONDE" replay x --record y
	says 2 "error: --record: a flag of 'sonde run' only"
	run --separate-stderr "$SONDE" run everything
	says 2 "error: 'everything': expected nothing more"
	run --separate-stderr "$SONDE" replay one two
	says 2 "error: 'two': expected nothing more"
	run --separate-stderr "$SONDE" replay
	says 2 "error: expected the FILE of a recording, got nothing"
}

@test "all mistakes of a file, with their lines, and of the command line" {
	printf 'ring_bufer: 8MiB\nlimits:\n  connections: many\nselect:\n  include:\n    - executable: "a["\n' >bad.yaml
	run --separate-stderr "$SONDE" run --config bad.yaml --duration soon
	says 2 'error: bad.yaml:1: expected a setting, got "ring_bufer"; did you mean ring_buffer?'
	says 2 'error: bad.yaml:3: limits.connections: expected a whole number from 256 to 4194304, got "many"'
	says 2 'error: bad.yaml:6: executable: expected a glob'
	says 2 'error: --duration: expected a number of seconds'
	[ "${#stderr_lines[@]}" -eq 4 ]
	for command in check "replay x"; do
		# shellcheck disable=SC2086 # two words
		run --separate-stderr "$SONDE" $command --config bad.yaml
		says 2 "error: bad.yaml:3: "
	done
	OTEL_CONFIG_FILE=bad.yaml run --separate-stderr "$SONDE" run
	says 2 "error: bad.yaml:1: "
}

@test "a file that is not there, is a folder, is binary or is endless" {
	run --separate-stderr "$SONDE" run --config none.yaml
	says 2 "error: none.yaml: cannot be read: No such file or directory"
	run --separate-stderr "$SONDE" run --config /tmp
	says 2 "error: /tmp: cannot be read: Is a directory"
	head -c 4096 "$SONDE" >binary.yaml
	run --separate-stderr "$SONDE" run --config binary.yaml
	says 2 "error: binary.yaml:1: expected YAML in UTF-8"
	run --separate-stderr timeout 20 "$SONDE" run --config /dev/zero
	says 2 "error: /dev/zero: expected a configuration of at most 1 MiB"
	head -c 1000000 /dev/zero | tr '\0' '[' >deep.yaml
	run --separate-stderr timeout 20 "$SONDE" run --config deep.yaml
	says 2 "error: deep.yaml:1: expected a configuration, got lists or mappings nested too deep"
}

@test "no terminal escape of a file reaches the terminal" {
	printf 'service_name: "a\\e]0;owned\\a"\n' >escape.yaml
	run --separate-stderr "$SONDE" run --config escape.yaml
	says 2 "error: escape.yaml:1: service_name: expected"
	[[ $stderr != *$'\e'* ]]
}

@test "what is wrong in the environment is a warning, and a disabled agent exits with 0" {
	OTEL_BSP_SCHEDULE_DELAY=5s OTEL_EXPORTER_OTLP_PROTOCOL=grpc OTEL_SDK_DISABLED=true run --separate-stderr "$SONDE" run
	says 0 'warning: OTEL_BSP_SCHEDULE_DELAY: expected a whole number of milliseconds'
	says 0 'warning: OTEL_EXPORTER_OTLP_PROTOCOL: "grpc" is not supported; http/protobuf is used instead'
	says 0 'nothing is observed: it is disabled'
}

@test "a secret in a variable is never printed" {
	OTEL_EXPORTER_OTLP_HEADERS='api key=hunter2' OTEL_SDK_DISABLED=true run --separate-stderr "$SONDE" run
	says 0 "warning: OTEL_EXPORTER_OTLP_HEADERS: expected headers"
	[[ $stderr != *hunter2* ]]
}

@test "the example file loads" {
	OTEL_SDK_DISABLED=true run --separate-stderr "$SONDE" run --config "$BATS_TEST_DIRNAME/../../docs/sonde.example.yaml"
	says 0 'nothing is observed'
}

@test "run without privileges says what to do" {
	run --separate-stderr as_nobody run --duration 1
	says 3 "error: observing needs root, to load BPF programs into the kernel. Run: sudo sonde run"
	[ "${#stderr_lines[@]}" -eq 1 ]
}

@test "root without capabilities is told which are missing" {
	[ "$(id -u)" = 0 ] || skip "needs root, to give capabilities away"
	run --separate-stderr timeout 20 setpriv --bounding-set=-all --inh-caps=-all "$SONDE" run --duration 1
	says 3 "CAP_BPF and CAP_PERFMON are missing"
}

@test "check without privileges says what to do on its last line" {
	run --separate-stderr as_nobody check
	[ "$status" -eq 3 ]
	[[ ${lines[-1]} == *root* ]]
	run --separate-stderr as_nobody check --format json
	[ "$status" -eq 3 ]
	jq -e '.usable == false and (.advice | contains("root"))' <<<"$output"
}

@test "check says what works, for people and for programs" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	run --separate-stderr timeout 120 "$SONDE" check
	[ "$status" -eq 0 ] || [ "$status" -eq 3 ]
	[[ ${lines[0]} == "kernel      $(uname -r)"* ]]
	# where bpf() itself is refused there is no more to say
	for group in sockets $([ "$status" != 0 ] || echo libraries); do
		[[ $output == *$'\n'"$group "* ]] || { echo "no $group: $output" && return 1; }
	done
	was=$status
	run --separate-stderr timeout 120 "$SONDE" check --format json
	[ "$status" -eq "$was" ]
	jq -e '.kernel and (.features | length > 3) and (.features[0] | has("group") and has("works") and has("why"))' <<<"$output"
	[ "$(jq .usable <<<"$output")" = "$([ "$was" = 0 ] && echo true || echo false)" ]
}

@test "help, version, replay and mistakes need no privileges" {
	run --separate-stderr as_nobody --help
	[ "$status" -eq 0 ]
	run --separate-stderr as_nobody --version
	[ "$status" -eq 0 ]
	run --separate-stderr as_nobody run --nonsense
	says 2 "no such flag"
	run --separate-stderr as_nobody replay /nonexistent
	says 2 "error: cannot read the recording /nonexistent: No such file or directory"
}

@test "replay of what is no recording" {
	run --separate-stderr "$SONDE" replay missing.rec
	says 2 "error: cannot read the recording missing.rec: No such file or directory"
	run --separate-stderr "$SONDE" replay /tmp
	says 2 "error: /tmp: expected a recording, got something that is not a regular file"
	: >empty.rec
	head -c 100000 /dev/urandom >garbage.rec
	for file in empty.rec garbage.rec; do
		run --separate-stderr timeout 60 "$SONDE" replay "$file" --format json
		says 2 "is not a recording"
	done
}
