# SPDX-License-Identifier: Apache-2.0
"""
tables.py verifier|docs [--update]: what the guests measured against what the repository says.

  verifier   instructions and states of each program and kernel against verifier.tsv: growth over 10 % fails. Debian's
             kernels change too: one of another version than in matrix.tsv is told and not judged
  docs       the matrix against matrix.tsv: what worked and does not any more fails; and whether docs/kernels.md has the
             tables that the .tsv files make

With --update the .tsv files take what was measured (of kernels that did not run, the old rows stay) and the tables of
docs/kernels.md are written. Results of the guests are in build/tests/kernels.
"""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
RESULTS = ROOT / "build/tests/kernels"
VERIFIER = ROOT / "tests/kernels/verifier.tsv"
MATRIX = ROOT / "tests/kernels/matrix.tsv"
COST = ROOT / "tests/kernels/cost.tsv"
DOCS = ROOT / "docs/kernels.md"
KERNELS = ["5.10", "6.1", "6.12", "newest"]
BACKENDS = ["tp_btf", "fentry", "kprobe", "syscall"]
COLUMNS = ["loads", "attaches", "http", "tcp", "unix", "tls", "calls"]
GROWTH, SLACK = 1.10, 50
NEW_PROGRAM = 200_000  # a program without a row: a fifth of what the kernel allows


def rows(path):
    if not path.exists():
        return []
    return [line.split("\t") for line in path.read_text().splitlines() if line and not line.startswith("#")]


def write(path, comment, lines):
    path.write_text("".join(f"{line}\n" for line in [comment, *lines]))


def ran():
    return [k for k in KERNELS if (RESULTS / k / "cells").exists()]


def merged(old, new, measured):
    """Rows by key, those of kernels that did not run as they were; in the order of KERNELS."""
    kept = {key: value for key, value in old.items() if key[0] not in measured}
    return dict(sorted((kept | new).items(), key=lambda kv: (KERNELS.index(kv[0][0]) if kv[0][0] in KERNELS else 99, kv[0][1:])))


# --- verifier


def budgets():
    return {(k, p): (int(i), int(s)) for k, p, i, s in rows(VERIFIER)}


def measured_budgets():
    found = {}
    for kernel in ran():
        for name, instructions, states, _ in rows(RESULTS / kernel / "check/verifier"):
            before = found.get((kernel, name), (0, 0))
            found[kernel, name] = max(before[0], int(instructions)), max(before[1], int(states))
    return found


def verifier(update):
    old, new = budgets(), measured_budgets()
    if update:
        lines = ["\t".join(map(str, key + value)) for key, value in merged(old, new, ran()).items()]
        write(VERIFIER, "# kernel, program, instructions and states of its verification; made by: make check-kernels UPDATE=1", lines)
        old = budgets()
    failed = False
    other = other_versions()
    for kernel, (here, there) in other.items():
        print(f"{kernel}: not judged: the kernel is {here}, the budget is of {there}")
    for key, (instructions, states) in new.items():
        have, name = old.get(key), " ".join(key)
        if key[0] in other:
            continue
        if have is None:
            print(f"new   {name}: {instructions} instructions, {states} states; no row in verifier.tsv")
            failed |= instructions > NEW_PROGRAM
        elif instructions > have[0] * GROWTH + SLACK or states > have[1] * GROWTH + SLACK:
            print(f"GROWN {name}: {instructions} instructions (budget {have[0]}), {states} states (budget {have[1]})")
            failed = True
        else:
            print(f"ok    {name}: {instructions} instructions, {states} states")
    if failed:
        print("Make it cheaper, or say in the commit why it is worth it and run: sudo make check-kernels UPDATE=1")
    return failed or not new


# --- the matrix


def matrix():
    return {tuple(r[:3]): tuple((r[3:5] + ["", ""])[:2]) for r in rows(MATRIX)}


def measured_matrix():
    found = {}
    for kernel in ran():
        for r in rows(RESULTS / kernel / "cells"):
            found[tuple(r[:3])] = r[3], r[4] if len(r) > 4 else ""
        found[kernel, "all", "version"] = (RESULTS / kernel / "version").read_text().strip(), ""
    return found


def other_versions():
    told, key = matrix(), lambda kernel: (kernel, "all", "version")
    here = {k: (RESULTS / k / "version").read_text().strip() for k in ran()}
    return {k: (v, told[key(k)][0]) for k, v in here.items() if key(k) in told and told[key(k)][0] != v}


def name_of(cells, kernel):
    version = cells.get((kernel, "all", "version"), ("?",))[0]
    return ".".join(version.split(".")[:2]) if kernel == "newest" else kernel


def matrix_table(cells):
    yield "| kernel | backend | loads | attaches | HTTP | PostgreSQL, TCP | PostgreSQL, Unix socket | libpq, TLS | socket calls | why not |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    for kernel in KERNELS:
        for backend in BACKENDS:
            values = [cells.get((kernel, backend, c), ("", "")) for c in COLUMNS]
            if not values[0][0]:
                continue
            why = next((reason for value, reason in values if value == "no"), "")
            shown = [{"yes": "yes", "no": "**no**" if c not in ("loads", "attaches") else "no"}.get(v[0], "") for c, v in zip(COLUMNS, values)]
            yield f"| {name_of(cells, kernel)} | `{backend}` | " + " | ".join(shown) + f" | {why} |"


def kernel_table(cells):
    yield "| kernel | Debian's package | start, emulated | maps | programs | what is lost |"
    yield "|---|---|---|---|---|---|"
    for kernel in KERNELS:
        get = lambda column, backend="all": cells.get((kernel, backend, column), ("",))[0]
        if not get("version"):
            continue
        first = next((b for b in BACKENDS if get("start", b)), "all")
        yield f"| {name_of(cells, kernel)} | {get('version')} | {get('start', first)} | {get('memory')} | {get('programs', first)} | {get('lose') or 'it is not observed'} |"


def verifier_table(cells):
    budget = budgets()
    yield "| program | " + " | ".join(name_of(cells, k) for k in KERNELS) + " |"
    yield "|---|" + "---|" * len(KERNELS)
    for program in sorted({p for _, p in budget}):
        shown = ["{:,} / {:,}".format(*budget[k, program]) if (k, program) in budget else "" for k in KERNELS]
        yield f"| `{program}` | " + " | ".join(shown) + " |"


def cost_table(cells):
    cost = {(k, w): (per_call, per_request) for k, w, per_call, per_request in rows(COST)}
    names = [n for n in ["none", *BACKENDS] if any((k, n) in cost for k in KERNELS)]
    yield "| kernel | " + " | ".join("without Sonde" if n == "none" else f"`{n}`" for n in names) + " |"
    yield "|---|" + "---|" * len(names)
    for kernel in KERNELS:
        if not any((kernel, n) in cost for n in names):
            continue
        shown = []
        for n in names:
            per_call, per_request = cost.get((kernel, n), ("", ""))
            shown.append(per_request if n == "none" else per_call)
        yield f"| {name_of(cells, kernel)} | " + " | ".join(shown) + " |"


TABLES = {"matrix": matrix_table, "kernels": kernel_table, "verifier": verifier_table, "cost": cost_table}


def rendered(text, cells):
    for name, table in TABLES.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        if begin not in text or end not in text:
            sys.exit(f"{DOCS} has no marks for the table {name}")
        head, rest = text.split(begin)
        text = head + begin + "\n".join(table(cells)) + "\n" + end + rest.split(end)[1]
    return text


def docs(update):
    old, new, failed = matrix(), measured_matrix(), False
    if update:
        lines = ["\t".join(key + value).rstrip() for key, value in merged(old, new, ran()).items()]
        write(MATRIX, "# kernel, backend, what, yes or no or a value, why; made by: make check-kernels UPDATE=1", lines)
        old = matrix()
        DOCS.write_text(rendered(DOCS.read_text(), old))
    for key, (value, why) in new.items():
        before = old.get(key, ("",))[0]
        if key[2] not in COLUMNS or value == before:
            continue
        # What a kernel skipped and Sonde counted is luck: it may be nothing the next time.
        worse = before == "yes" and "which are counted" not in why
        failed |= worse
        print(("WORSE " if worse else "new   ") + " ".join(key) + f": {value or 'nothing'} (matrix.tsv: {before or 'nothing'}) {why}")
    if DOCS.read_text() != rendered(DOCS.read_text(), old):
        print("docs/kernels.md has not the tables of tests/kernels/*.tsv: run tests/kernels/tables.py docs --update")
        failed = True
    return failed


if __name__ == "__main__":
    what = {"verifier": verifier, "docs": docs}.get(sys.argv[1] if len(sys.argv) > 1 else "")
    if not what:
        sys.exit(__doc__)
    if sys.argv[1] == "verifier" and not ran():
        print("no guest ran")
        sys.exit(77)
    sys.exit(1 if what("--update" in sys.argv[2:]) else 0)
