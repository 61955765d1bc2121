# SPDX-License-Identifier: Apache-2.0
"""
What Sonde said of real database drivers against what the server counted, one cell for each driver and transport:

    drivers_check.py cells DRIVER...  statement for statement; prints what differs
    drivers_check.py wire             what crossed the wire, told by tshark from the capture, against the spans
    drivers_check.py table FILE       FILE holds the table of all that; with --write it is written
"""
import argparse
import functools
import json
import pathlib
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict

import e2e_otlp as otlp

TRANSPORTS = {"tcp": "TCP", "tls": "TLS", "unix": "Unix socket"}
DRIVERS = {
    "pgbench_simple": "pgbench `-M simple`",
    "pgbench_extended": "pgbench `-M extended`",
    "pgbench_transaction": "pgbench `-M extended`, transactions",
    "pgbench_prepared": "pgbench `-M prepared`",
    "pgbench_pipeline": "pgbench `-M prepared`, `\\startpipeline`",
    "psql": "psql: scripts, cursors, COPY, PREPARE, `\\;`",
    "psycopg2": "psycopg2",
    "psycopg": "psycopg 3",
    "psycopg_cursor": "psycopg 3: server-side cursors, streams",
    "psycopg_pipeline": "psycopg 3: pipeline mode",
    "psycopg_copy": "psycopg 3: COPY",
    "asyncpg": "asyncpg",
    "sqlalchemy": "SQLAlchemy on psycopg 3",
    "django": "Django on psycopg 3",
    "node": "node `pg`, `pg-cursor`",
    "pgx": "Go `pgx`: batches, COPY",
    "pq": "Go `lib/pq`",
    "jdbc": "JDBC: batches, fetch size",
    "pdo": "PHP PDO",
}
# Cells that cannot be.
NONE = {("jdbc", "unix"): "the driver has none"}
# pg_stat_statements keeps literals of utility statements, and $n for others; Sonde writes ?, and folds lists.
LITERAL = re.compile(r"\$\d+|E?'(?:[^']|'')*'|\$(\w*)\$.*?\$\1\$|\b\d+(?:\.\d+)?\b", re.S)
FOLD = re.compile(r"(\((?:[^()]|\([^()]*\))*\))(?:\s*,\s*\1)+")
ITEMS = re.compile(r"(\?(?:::\w+)?)(?:\s*,\s*\1)+")
KEY_CHARS = 200
# Where pg_stat_statements 15 is no referee. It counts BEGIN and its like only the first time that they are run from a
# prepared statement: the log, which has every one, is asked. It counts an EXECUTE by the text of its PREPARE.
TRANSACTION = re.compile(r"(BEGIN|START TRANSACTION|COMMIT|END|ROLLBACK|ABORT)\b(?! TO)", re.I)
LOGGED = re.compile(r"(\S+) 00000 LOG:  duration: ([\d.]+) ms  (?:statement|execute (?!fetch from)[^:]*): (.*)")
# Of a portal that is fetched in portions it keeps the rows of the last portion only: what the workload reads is known.
PORTALS = {"SELECT a, b FROM things WHERE a > ?": 40}


def key(text):
    """A statement's name in both worlds."""
    text = " ".join(re.sub(r"--[^\n]*|/\*.*?\*/", " ", text, flags=re.S).split()).rstrip("; ")
    text = ITEMS.sub(r"\1", LITERAL.sub("?", text))
    text = FOLD.sub(r"\1", text)
    return text[:KEY_CHARS]


class Side:
    """Calls, rows and seconds of each statement of a database."""

    def __init__(self):
        self.calls, self.rows, self.seconds, self.means = Counter(), Counter(), defaultdict(list), defaultdict(list)
        self.returned = 0  # rows that went to the client in messages of their own


@functools.lru_cache
def server(run):
    """By database, from RUN.counts and RUN.pglog."""
    sides = defaultdict(Side)
    for line in open(run + ".counts"):
        c = json.loads(line)
        side, k = sides[c["database"]], key(c["query"])
        if k.startswith("PREPARE "):
            k = f"EXECUTE {k.split()[1]} (?)"
        if TRANSACTION.match(k):
            continue
        side.calls[k] += c["calls"]
        side.rows[k] += PORTALS[k] * c["calls"] if k in PORTALS else c["rows"]
        side.means[k].append((c["calls"], c["mean_ms"] / 1e3, c["min_ms"] / 1e3))
    for line in open(run + ".pglog", errors="replace"):
        m = LOGGED.match(line)
        if not m:
            continue
        sides[m[1]].seconds[key(m[3])].append(float(m[2]) / 1e3)
        for text in re.sub(r"'[^']*'", "", m[3]).split(";"):
            if TRANSACTION.match(text.strip()):
                sides[m[1]].calls[key(text)] += 1
    return sides


@functools.lru_cache
def ours(directory):
    sides, failed = defaultdict(Side), defaultdict(Counter)
    for s in otlp.spans(directory):
        if not s.is_sql:
            continue
        if "error.type" in s.attrs:
            failed[s.service][s.attrs["error.type"]] += 1
            continue
        side, k = sides[s.service], key(s.text)
        side.calls[k] += 1
        side.rows[k] += s.rows
        side.seconds[k].append(s.ns / 1e9)
        side.returned += 0 if k.startswith("COPY") else s.attrs.get("db.response.returned_rows", 0)
    return sides, failed


@functools.lru_cache
def histogram(directory):
    good, bad = Counter(), Counter()
    for p in otlp.points(directory):
        if p.name == otlp.DURATION["db"]:
            (bad if "error.type" in p.attrs else good)[p.service] += p.count
    return good, bad


def log_errors(path, database):
    states = Counter()
    for line in open(path, errors="replace"):
        m = re.match(rf"{re.escape(database)} (\w{{5}}) (?:ERROR|FATAL):", line)
        if m:
            states[m[1]] += 1
    return states


def differing(what, mine, theirs):
    return [f"{what} of {k!r}: {mine[k]}, the server counted {theirs[k]}"
            for k in sorted(mine.keys() | theirs.keys()) if mine[k] != theirs[k]]


def near(got, wanted):
    return wanted - 1e-5 <= got <= wanted + max(0.15 * wanted, 50e-6)


def times(mine, theirs):
    """
    What is wrong with the times, and how far the best of each statement is above the server's best, in microseconds. A
    mean is spoilt by one wait for a CPU behind the server's end, which on a busy machine is no rarity: then the medians
    or, where most of them waited, the best ones have to agree. What is measured wrongly is so in all three.
    """
    wrong, above = [], []
    for k, parts in theirs.means.items():
        if not mine.seconds[k] or mine.calls[k] != theirs.calls[k]:
            continue
        mean = sum(p[0] * p[1] for p in parts) / sum(p[0] for p in parts)
        above.append((min(mine.seconds[k]) - min(p[2] for p in parts)) * 1e6)
        if not k.startswith("SELECT pg_sleep"):
            continue
        got, logged = statistics.mean(mine.seconds[k]), statistics.median(theirs.seconds[k])
        if not (near(got, mean) or near(statistics.median(mine.seconds[k]), logged)
                or near(min(mine.seconds[k]), min(theirs.seconds[k]))):
            wrong.append(f"time of {k!r}: mean {got * 1e3:.3f} ms, median {statistics.median(mine.seconds[k]) * 1e3:.3f} ms; "
                         f"the server's {mean * 1e3:.3f} ms, {logged * 1e3:.3f} ms")
    return wrong, statistics.median(above) if above else None


def cell(args, backend, driver, transport):
    """Everything that does not agree."""
    name, directory = f"{driver}_{transport}", f"{args.dir}/otlp-{backend}"
    theirs, (sides, failed) = server(f"{args.dir}/{backend}")[name], ours(directory)
    mine, good, bad = sides[name], *histogram(directory)
    wrong = [] if theirs.calls else ["the server saw nothing"]
    wrong += differing("calls", mine.calls, theirs.calls)
    wrong += differing("rows", mine.rows, theirs.rows)
    errors = log_errors(f"{args.dir}/{backend}.pglog", name)
    wrong += differing("failures", failed[name], errors)
    if good[name] != sum(theirs.calls.values()):
        wrong.append(f"histogram: {good[name]} statements, the server counted {sum(theirs.calls.values())}")
    if bad[name] != sum(errors.values()):
        wrong.append(f"histogram: {bad[name]} failures, the server logged {sum(errors.values())}")
    late, above = times(mine, theirs)
    numbers = sum(theirs.calls.values()), sum(theirs.rows.values()), sum(errors.values())
    return wrong + late, numbers, above


def check_cells(args):
    failed = 0
    for driver in args.names:
        for transport in TRANSPORTS:
            if (driver, transport) in NONE:
                continue
            for backend in args.backends:
                wrong, numbers, above = cell(args, backend, driver, transport)
                best = "" if above is None else f"; best times {above:.0f} us above the server's"
                print(f"{'FAIL' if wrong else 'ok  '} {driver} {transport} {backend}: {numbers[0]} calls, {numbers[1]} rows, "
                      f"{numbers[2]} failures{best}")
                for line in wrong:
                    print(f"       {line}")
                failed += bool(wrong)
    return failed


class Wire:
    """What tshark saw of a database's connections."""

    def __init__(self):
        self.messages, self.statements, self.rows, self.failed = 0, 0, 0, Counter()


def dissect(capture, port):
    fields = ["tcp.stream", "pgsql.type", "pgsql.tag", "pgsql.code", "pgsql.parameter_name", "pgsql.parameter_value"]
    command = ["tshark", "-r", capture, "-d", f"tcp.port=={port},pgsql", "-Y", "pgsql", "-T", "fields"]
    out = subprocess.run(command + [x for f in fields for x in ("-e", f)], check=True, capture_output=True, text=True).stdout
    streams, rows = {}, Counter()
    wires = defaultdict(Wire)
    for line in out.splitlines():
        stream, types, tags, codes, names, values = (f.split(",") if i else f for i, f in enumerate(line.split("\t")))
        if types == ["Startup message"] and "database" in names:
            streams[stream] = values[names.index("database")]
        wire = wires[streams.get(stream)]
        for kind in types:
            wire.messages += 1
            if kind == "Data row":
                rows[stream] += 1
            elif kind == "Command completion":
                tag = tags.pop(0)
                wire.statements += not tag.startswith(("PREPARE", "DEALLOCATE"))
                wire.rows += 0 if tag == "SHOW" else rows[stream]
                rows[stream] = 0
            elif kind in ("Error", "Notice"):
                code = codes.pop(0)
                wire.failed[code] += kind == "Error"
                rows[stream] = 0
    return wires


def check_wire(args):
    failed = 0
    for backend in args.backends:
        wires = dissect(f"{args.dir}/{backend}.pcapng", args.port)
        sides, errors = ours(f"{args.dir}/otlp-{backend}")
        for driver in DRIVERS:
            name = driver + "_tcp"
            wire, mine = wires[name], sides[name]
            got = {"statements": sum(mine.calls.values()), "rows": mine.returned, "failures": dict(errors[name])}
            seen = {"statements": wire.statements, "rows": wire.rows, "failures": dict(+wire.failed)}
            good = got == seen and wire.messages > 0
            print(f"{'ok  ' if good else 'FAIL'} {name} {backend}: {wire.messages} messages, {seen}" + ("" if good else f", but {got}"))
            failed += not good
    return failed


BEGIN, END = "<!-- made by tests/e2e/drivers.bats -->", "<!-- end -->"


def table(args):
    yield "| | calls | rows | failures | TCP | TLS | Unix socket | µs above the server |"
    yield "|---|---|---|---|---|---|---|---|"
    for driver, title in DRIVERS.items():
        cells, best, first = [], [], None
        for transport in TRANSPORTS:
            if (driver, transport) in NONE:
                cells.append(NONE[driver, transport])
                continue
            results = [cell(args, backend, driver, transport) for backend in args.backends]
            first = first or results[0][1]
            best += [r[2] for r in results if r[2] is not None]
            kinds = sorted({line.split(" ")[0].rstrip(":") for r in results for line in r[0]})
            cells.append("differs: " + ", ".join(kinds) if kinds else "=")
        yield "| {} | {} | {} | {} | {} | {} |".format(title, *first, " | ".join(cells), f"{min(best):.0f}" if best else "")


def write_table(args, begin, lines):
    """False when the file says what the lines do, or was made to."""
    path = pathlib.Path(args.names[0])
    before, rest = path.read_text().split(begin)
    old, after = rest.split(END, 1)
    new = "\n" + "\n".join(lines) + "\n"
    if args.write:
        path.write_text(before + begin + new + END + after)
        return 0
    # The last column is of this machine at that time.
    old, new = ([line.rsplit("|", 2)[0] for line in text.splitlines()] for text in (old, new))
    differ = [(a, b) for a, b in zip(old, new) if a != b] or len(old) != len(new)
    if differ:
        print(f"{path} does not say what was seen; SONDE_WRITE_DOCS=1 writes it: {differ}")
    return differ


def check_table(args):
    return write_table(args, BEGIN, table(args))


def main(doc, checks):
    """checks: functions of args by "check_" and the name of what is checked; true is a failure."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("check", choices=["cells", "wire", "table"])
    p.add_argument("names", nargs="*")
    p.add_argument("--dir", required=True, help="of the run")
    p.add_argument("--backends", required=True, type=str.split)
    p.add_argument("--port", help="of the server")
    p.add_argument("--write", action="store_true")
    args = p.parse_args()
    return 1 if checks["check_" + args.check](args) else 0


if __name__ == "__main__":
    sys.exit(main(__doc__, globals()))
