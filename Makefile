# SPDX-License-Identifier: Apache-2.0
# One file, not recursive. Everything it makes is in build/. V=1 shows the commands.
VERSION := 0.1.0
PREFIX  ?= /usr/local
B       := build
Q       := $(if $(V),,@)
ARCH    ?= $(shell uname -m)
TARGET  := $(patsubst aarch64,arm64,$(patsubst x86_64,x86,$(ARCH)))
START   := $(shell date +%s)

CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG   ?= clang
export PATH := $(PATH):/usr/sbin:/sbin
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif

DEPS := gcc clang llvm bpftool libbpf-dev libelf-dev zlib1g-dev protobuf-compiler protobuf-c-compiler \
	libprotobuf-c-dev libcurl4-openssl-dev libyaml-dev libcyaml-dev libjansson-dev libcap-ng-dev libseccomp-dev libzydis-dev
TEST_DEPS := bats libcmocka-dev clang-format clang-tidy shellcheck libclang-rt-14-dev python3 python3-venv curl jq \
	postgresql pgbouncer mariadb-server python3-mysqldb libpq-dev liburing-dev nginx haproxy openssl ca-certificates procps php-cli php-pgsql tshark \
	php-fpm uwsgi-core uwsgi-plugin-python3 python3-psycopg2 \
	qemu-system-x86 qemu-system-common busybox-static cpio xz-utils \
	go:golang-go node:nodejs npm:npm javac:openjdk-17-jdk-headless mvn:maven ruby:ruby

.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: all deps test-deps run demo install clean fmt lint bench help check check-unit check-static check-bpf \
	check-e2e check-kernels kernel-cost unit-bins fuzz-bins fuzz
.DEFAULT_GOAL := all

# --- sources: by folder, so that one more file needs no line here ---

# Maps first: libbpf 1.1 loses the place of a map that is used before its definition.
BPF_SRC   := $(wildcard bpf/maps.bpf.c bpf/core/*.bpf.c bpf/attach/*.bpf.c)
USER_SRC  := $(wildcard user/*.c user/*/*.c user/*/*/*.c)
# What loads BPF is tested by loading it (tests/bpf); unit tests need no BPF object.
LOAD_SRC  := $(if $(USER_SRC),$(shell grep -lE '(skel|loader_state)\.h"' $(USER_SRC)))
LIB_SRC   := $(filter-out user/main.c user/cli/% $(LOAD_SRC),$(USER_SRC))
PROTO_DIR := user/export/otlp/proto
PROTO_SRC := $(wildcard $(addprefix $(PROTO_DIR)/opentelemetry/proto/,*/*.proto */*/*.proto */*/*/*.proto))
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)
C_FILES    = $(shell find bpf include user tests -name '*.[ch]')

BPF_OBJ   := $(BPF_SRC:%.c=$(B)/%.o)
PB_PROTO  := $(PROTO_SRC:$(PROTO_DIR)/%=$(B)/proto/%)
PB_C      := $(PROTO_SRC:$(PROTO_DIR)/%.proto=$(B)/gen/%.pb-c.c)
PB_OBJ    := $(PB_C:%.c=%.o)
UNIT_BIN  := $(UNIT_SRC:tests/unit/%.c=$(B)/unit/%)
REPLAY_BIN := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/replay/%)
FUZZ_BIN  := $(FUZZ_SRC:tests/fuzz/%.c=$(B)/fuzz/%)

# --- flags ---
CPPFLAGS := -Iinclude -Iuser -I$(B)/gen -D_GNU_SOURCE -DSONDE_VERSION='"$(VERSION)"'
WARN     := -std=gnu11 -g -Wall -Wextra -Werror
CFLAGS   := $(WARN) -O2 -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LDFLAGS  := -pie -Wl,-z,relro,-z,now
ASAN     := $(WARN) -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FUZZ     := $(WARN) -O2 -fno-sanitize-recover=all -fsanitize=address,undefined
# libcurl is not here: only the worker's exporter opens it, when it sends; linked, it costs every process 5 MB.
LIBS := $(if $(wildcard /usr/lib/*/libbpf.a),-l:libbpf.a,-lbpf) -lelf -lz -lprotobuf-c -lcyaml -lyaml -ljansson \
	-lcap-ng -lseccomp -lZydis -lpthread -ldl -lm
# The exception: records of event.h end in their variable bytes, and the BPF side keeps them inside its own structs.
BPFFLAGS := -g -O2 -target bpf -mcpu=v3 -D__TARGET_ARCH_$(TARGET) -Ivmlinux/$(ARCH) -Iinclude -Ibpf -Wall -Werror \
	-Wno-gnu-variable-sized-type-not-at-end

# --- the product ---
all: $(B)/sonde ## build build/sonde (the default; no network, no root)

$(B)/sonde: $(USER_SRC:%.c=$(B)/%.o) $(PB_OBJ)
	$(Q)$(CC) $(LDFLAGS) -o $@ $^ $(LIBS)
	@printf 'build     %s (%s) in %d s\n' $@ "$$(numfmt --to=iec-i --suffix=B --format=%.1f \
		"$$(stat -c %s $@)" | sed 's/\([KMG]i\)B/ \1B/')" $$(($$(date +%s) - $(START)))

$(B)/bpf/%.bpf.o: bpf/%.bpf.c Makefile | $(B)/.tools
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -c $< -o $@

$(B)/bpf/sonde.linked.o: $(BPF_OBJ)
	$(Q)bpftool gen object $@ $^

# Without the lines of source (line_info_len in the head of .BTF.ext): each program has them for all that it calls, in the
# keeper's memory and in the kernel's, and only a reader of verifier logs wants them.
$(B)/bpf/sonde.lean.o: $(B)/bpf/sonde.linked.o
	$(Q)llvm-strip -g -o $@ $<
	$(Q)llvm-objcopy --dump-section .BTF.ext=$@.ext $@
	$(Q)printf '\0\0\0\0' | dd of=$@.ext bs=1 seek=20 conv=notrunc status=none
	$(Q)llvm-objcopy --update-section .BTF.ext=$@.ext $@

$(B)/gen/sonde.skel.h: $(B)/bpf/sonde.lean.o
	$(Q)mkdir -p $(@D)
	$(Q)bpftool gen skeleton $< name sonde_bpf > $@
	@printf 'build     kernel side, %d files, in %d s\n' $(words $(BPF_SRC)) $$(($$(date +%s) - $(START)))

# protoc-c 1.4 refuses proto3 `optional`; on the wire a oneof of one field is the same thing.
$(PB_PROTO): $(B)/proto/%: $(PROTO_DIR)/% | $(B)/.tools
	$(Q)mkdir -p $(@D)
	$(Q)sed -E 's/^( *)optional (double) ([a-z]+) = ([0-9]+);/\1oneof \3_opt { \2 \3 = \4; }/' $< > $@

ifneq ($(PB_C),)
$(PB_C) &: $(PB_PROTO)
	$(Q)mkdir -p $(B)/gen
	$(Q)protoc-c -I$(B)/proto --c_out=$(B)/gen $(PB_PROTO)
endif

$(PB_OBJ): %.o: %.c
	$(Q)$(CC) -I$(B)/gen -std=gnu11 -g -O2 -fPIE -Wall -c $< -o $@

# $1: object folder, $2: compiler, $3: flags
define compile_into
$1%.o: %.c Makefile | $$(PB_C)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$2 $$(CPPFLAGS) $3 -MMD -MP -c $$< -o $$@
endef
$(LOAD_SRC:%.c=$(B)/%.o): | $(B)/gen/sonde.skel.h
$(eval $(call compile_into,$(B)/,$$(CC),$$(CFLAGS)))
$(eval $(call compile_into,$(B)/asan/,$$(CC),$$(ASAN)))
# Its keywords are in a dictionary; comparing each byte with the like of them made inputs three times as slow.
$(patsubst %.c,$(B)/fuzzer/%.o,$(wildcard user/sql/*.c) tests/fuzz/fuzz_sql.c): FUZZ += -fno-sanitize-coverage=trace-cmp
$(eval $(call compile_into,$(B)/fuzzer/,$$(CLANG),$$(FUZZ) -fsanitize=fuzzer-no-link))

$(B)/.tools:
	@mkdir -p $(B)
	@for t in $(CC) $(CLANG) llvm-strip bpftool protoc-c; do command -v $$t > /dev/null || { \
		echo "error: $$t is missing, so nothing can be built. Run: sudo make deps" >&2; exit 1; }; done
	@touch $@

deps: ## install what the build needs (Debian packages; root only when something is missing)
	@.ci/deps.sh deps $(DEPS)

test-deps: deps ## install what the tests need beside that
	@.ci/deps.sh test-deps $(TEST_DEPS)

run: deps ## install, build and start observing: sudo make run ARGS="--duration 60"
	@$(MAKE) --no-print-directory all
	@exec $(B)/sonde run $(ARGS)

demo: deps ## observe a small shop that comes with Sonde
	@$(MAKE) --no-print-directory all
	@exec demo/demo.sh $(ARGS)

install: all ## install into $(DESTDIR)$(PREFIX), with a systemd unit that is not started
	$(Q)install -D -s -m755 $(B)/sonde $(DESTDIR)$(PREFIX)/bin/sonde
	$(Q)install -D -m644 -t $(DESTDIR)$(PREFIX)/share/doc/sonde README.md LICENSE bpf/LICENSE-GPL-2.0 docs/*
	$(Q)[ -e $(DESTDIR)/etc/sonde/sonde.yaml ] || install -D -m644 docs/sonde.example.yaml $(DESTDIR)/etc/sonde/sonde.yaml
	$(Q)mkdir -p $(DESTDIR)$(PREFIX)/lib/systemd/system
	$(Q)sed 's|/usr/local|$(PREFIX)|' deploy/sonde.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/sonde.service
	@echo "install   $(DESTDIR)$(PREFIX)/bin/sonde, sonde.service, $(DESTDIR)/etc/sonde/sonde.yaml"

clean: ## remove build/
	$(Q)rm -rf $(B)

# --- tests: tests/run.sh runs groups, counts, and ends with "N passed, N failed, N skipped" ---

check: ## everything (root for BPF, end to end and guests); installs what it needs
	+@tests/run.sh test-deps build static unit bpf e2e kernels

check-unit: ## unit tests under ASan and UBSan, golden, replay, fuzz corpus; no root, no BPF
	+@tests/run.sh unit

check-static: ## format, layers, sizes, documentation, shell, clang-tidy
	+@tests/run.sh static

check-bpf: ## load and attach every backend; root
	+@tests/run.sh build bpf

check-e2e: ## real clients and servers, a real Jaeger; root
	+@tests/run.sh build e2e

check-kernels: ## every backend on Debian's kernels 5.10 to 7, in QEMU; root. UPDATE=1 writes the tables
	+@UPDATE=$(UPDATE) tests/run.sh build kernels

kernel-cost: all ## write what a traced call costs on each kernel into docs/kernels.md; root
	@tests/kernels/cost.sh

unit-bins: $(UNIT_BIN) $(REPLAY_BIN)

$(B)/asan/libsonde.a: $(LIB_SRC:%.c=$(B)/asan/%.o) $(PB_OBJ)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(UNIT_BIN): $(B)/unit/%: $(B)/asan/tests/unit/%.o $(B)/asan/libsonde.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ASAN) $(LINK) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS) -lcmocka

# The lexer once more, telling each block of code that it runs to the test that counts them, and how many bytes it has copied.
$(eval $(call compile_into,$(B)/steps/,$$(CC),$$(WARN) -O2 -fno-builtin -fsanitize-coverage=trace-pc))
$(B)/unit/test_sql_linear: $(patsubst %.c,$(B)/steps/%.o,$(wildcard user/sql/*.c) user/util/buf.c)
$(B)/unit/test_sql_linear: LINK := $(foreach f,memchr memcpy memmove memcmp memset,-Wl,--wrap=$f)

$(REPLAY_BIN): $(B)/fuzz/replay/%: $(B)/asan/tests/fuzz/%.o $(B)/asan/tests/fuzz/main.o $(B)/asan/libsonde.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ASAN) -o $@ $^ $(LIBS)

fuzz-bins: $(FUZZ_BIN)

$(B)/fuzzer/libsonde.a: $(LIB_SRC:%.c=$(B)/fuzzer/%.o) $(PB_OBJ)
	$(Q)rm -f $@
	$(Q)ar rcs $@ $^

$(FUZZ_BIN): $(B)/fuzz/%: $(B)/fuzzer/tests/fuzz/%.o $(B)/fuzzer/libsonde.a
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ) -fsanitize=fuzzer -o $@ $^ $(LIBS)

fuzz: fuzz-bins ## libFuzzer on every parser: FUZZ_SECONDS=60 each, or FUZZ_RUNS=N; FUZZ_ONLY=name for one
	@tests/fuzz/run.sh

bench: all ## measure overhead and footprint; root, and wrk
	@tests/bench/run.sh $(ARGS)

fmt: ## format all C files
	$(Q)clang-format -i $(C_FILES)

lint: ## shellcheck, and clang-tidy with its slow analyzer
	+@tests/run.sh lint

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):[^#]*## /\1\t/p' Makefile | while IFS="$$(printf '\t')" read -r t d; do \
		printf '  make %-13s %s\n' "$$t" "$$d"; done

-include $(wildcard $(patsubst %.o,%.d,$(BPF_OBJ) $(foreach d,$(B)/ $(B)/asan/ $(B)/fuzzer/ $(B)/steps/,\
	$(USER_SRC:%.c=$d%.o) $(UNIT_SRC:%.c=$d%.o) $(FUZZ_SRC:%.c=$d%.o) $dtests/fuzz/main.o)))
