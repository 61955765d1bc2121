# SPDX-License-Identifier: Apache-2.0
"""
stack.py OBJECT: what no compiler checks. From each program of a BPF object, calls nest at most eight deep (MAX_CALL_FRAMES), and
together they have 512 bytes of stack (MAX_BPF_STACK). 6.1 counts the frame of each function in full 32 bytes
(kernel/bpf/verifier.c, check_max_stack_depth), newer ones 16: a program that loads here may be refused there.
"""
import functools
import re
import struct
import subprocess
import sys

STACK_MAX, CALLS_MAX, STEP = 512, 8, 32


def disassembled(path):
    """Of each function: bytes of stack, the functions it calls, whether it is a program."""
    text = subprocess.run(["llvm-objdump", "-dr", path], capture_output=True, text=True, check=True).stdout
    functions, at, section, name, call, to, copies = {}, {}, "", None, None, 0, set()
    for line in text.splitlines():
        if found := re.match(r"Disassembly of section (\S+):", line):
            section = found[1]
        elif (found := re.match(r"([0-9a-f]+) <(\S+)>:", line)) and not found[2].startswith("LBB"):
            name, copies = found[2], set()
            functions[name] = {"stack": 0, "calls": [], "program": section != ".text"}
            at[section, int(found[1], 16) // 8] = name
        if not name:
            continue
        f = functions[name]
        offsets = [int(n, 0) for n in re.findall(r"r10 - (0x[0-9a-f]+|\d+)", line)]
        if found := re.search(r"(r\d+) = r10$", line):
            copies.add(found[1])
        elif (found := re.search(r"(r\d+) \+= -(0x[0-9a-f]+|\d+)", line)) and found[1] in copies:
            copies.discard(found[1])
            offsets.append(int(found[2], 0))
        f["stack"] = max([f["stack"]] + offsets)
        if found := re.match(r"\s*(\d+):\s+85 10 00 00 ((?:[0-9a-f]{2}\s){4})", line):
            # BPF_PSEUDO_CALL: by its own place, unless a relocation follows
            to = struct.unpack("<i", bytes.fromhex(found[2]))[0] + 1
            call = [(section, int(found[1]) + to)]
            f["calls"].append(call)
        elif found := re.search(r"R_BPF_64_32\s+(\S+)", line):
            call[0] = (found[1], to) if found[1].startswith(".") else found[1]
    for f in functions.values():
        names = {c if isinstance(c, str) else at.get(c) for (c,) in f["calls"]}
        if None in names:
            sys.exit(f"a call leads to no function: {f}")
        f["calls"] = names & functions.keys()  # the others are the kernel's
    return functions


def main():
    functions = disassembled(sys.argv[1])

    @functools.lru_cache(None)
    def worst(name, measure):
        f = functions[name]
        own = max(STEP, -(-f["stack"] // STEP) * STEP) if measure == "stack" else 1
        below = max((worst(c, measure) for c in f["calls"]), default=(0, ()))
        return own + below[0], (f"{name} {own}",) + below[1]

    programs = [name for name, f in functions.items() if f["program"]]
    if len(programs) < 10:
        sys.exit(f"only {len(programs)} programs found in {sys.argv[1]}")
    status = 0
    for name in programs:
        for measure, most in (("stack", STACK_MAX), ("calls", CALLS_MAX)):
            n, chain = worst(name, measure)
            if n > most:
                print(f"{name}: {n} of {most} {'bytes of stack' if measure == 'stack' else 'calls'}: {', '.join(chain)}")
                status = 1
    sys.exit(status)


main()
