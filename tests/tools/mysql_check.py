# SPDX-License-Identifier: Apache-2.0
"""
What Sonde said of MySQL's drivers against what the server says of each statement, one cell for each driver and transport:

    mysql_check.py cells DRIVER...  statement by statement, in order; prints what differs
    mysql_check.py wire             commands, failures and changed rows that tshark read from the capture, against the spans
    mysql_check.py table FILE       FILE holds the table of all that; with --write it is written
"""
import functools
import json
import re
import statistics
import subprocess
import sys
from collections import Counter, defaultdict

import drivers_check
import e2e_otlp as otlp

TRANSPORTS = drivers_check.TRANSPORTS
DRIVERS = {
    "mysqlclient": "mysqlclient",
    "pymysql": "PyMySQL",
    "node": "node `mysql2`",
    "go": "Go `go-sql-driver`",
    "go_text": "Go `go-sql-driver`, `interpolateParams`",
    "connector": "Connector/J",
    "connector_prepared": "Connector/J, `useServerPrepStmts`, `cachePrepStmts`",
    "connector_batch": "Connector/J, `rewriteBatchedStatements`",
    "connector_cursor": "Connector/J, `useCursorFetch`",
    "mariadb": "MariaDB Connector/J",
    "mariadb_prepared": "MariaDB Connector/J, `useServerPrepStmts`: bulk, pipelined",
}
NONE = {(d, "unix"): "the driver has none" for d in DRIVERS if d.startswith(("connector", "mariadb"))}
EXECUTE = ("statement/com/Execute", "statement/com/Bulk_execute")
# What MariaDB does not tell: rows of a COM_STMT_BULK_EXECUTE, and of what procedures send. The workload is known.
BULK_ROWS, BULK_TEXT = 5, "INSERT INTO log (t) VALUES (?)"
# The verbs of its counters Com_*, and how many of them a procedure of the workload runs.
COM = {"SELECT": "select", "INSERT": "insert", "UPDATE": "update", "DELETE": "delete", "CALL": "call_procedure"}
IN_PROCEDURE = 2
LITERAL = re.compile(r"(?:\b[NXB]|\b_\w+ ?)?(?:'(?:[^'\\]|''|\\.)*(?:'|$)|\"(?:[^\"\\]|\"\"|\\.)*(?:\"|$))|\b\d+(?:\.\d+)?\b", re.S)


def key(text):
    """A statement's name in both worlds."""
    text = LITERAL.sub("?", re.sub(r"/\*.*?\*/|-- [^\n]*", " ", text, flags=re.S))
    text = re.sub(r"\b_\w+ \?", "?", text)
    text = drivers_check.FOLD.sub(r"\1", drivers_check.ITEMS.sub(r"\1", " ".join(text.split()).rstrip("; ")))
    return text[:80]


class Statement:
    def __init__(self, text, rows, error, ns, prepared=False, event=""):
        self.text, self.rows, self.error, self.ns = text, rows, error, ns
        self.prepared, self.event, self.fetched, self.goes_on = prepared, event, False, False

    def __str__(self):
        return f"{self.text or self.event!r}: {self.rows} rows, error {self.error}"


@functools.lru_cache
def server(path):
    """By database: its statements in order, and its Com_ counters."""
    lists, com, before = defaultdict(list), {}, defaultdict(lambda: None)
    for line in open(path):
        e = json.loads(line)
        name = e["database"]
        statements = lists[name]
        if "com" in e:
            com[name] = {k.removeprefix("Com_"): v for k, v in e["com"].items()}
            continue
        if e["event"] == "statement/sp/stmt":  # in a procedure: the rows of its CALL
            statements[-1].rows += e["rows"]
        elif e["event"] == "statement/com/Fetch":  # of a cursor: one statement with all its rows
            statements[-1].rows += e["rows"]
            statements[-1].fetched = True
        elif e["event"] in EXECUTE or (e["event"] == "statement/com/Prepare" and e["error"]):
            rows = BULK_ROWS if e["event"].endswith("Bulk_execute") else e["rows"]
            statements.append(Statement("", rows, e["error"], e["ns"], e["event"] in EXECUTE, e["event"]))
            before[name] = None
        elif e["event"].startswith("statement/sql/"):
            statements.append(Statement(e["text"], e["rows"], e["error"], e["ns"], event=e["event"]))
            # Of several in one text, each has all that is left of it.
            statements[-1].goes_on = bool(before[name]) and before[name] != e["text"] and before[name].endswith(e["text"])
            before[name] = e["text"]
    return lists, com


@functools.lru_cache
def ours(directory):
    lists = defaultdict(list)
    for s in sorted((s for s in otlp.spans(directory) if s.is_sql), key=lambda s: (s.start, s.end)):
        if s.attrs.get("db.system.name") not in ("mariadb", "mysql"):
            continue
        error = int(s.attrs.get("db.response.status_code", 0))
        lists[s.service].append(Statement(s.text, 0 if error else s.rows, error, s.ns))
        lists[s.service][-1].affected = s.attrs.get("sonde.db.affected_rows", 0)
    return lists


def differing(mine, theirs):
    """Statement by statement: what it was, where the server tells; rows; failure."""
    wrong = [] if theirs else ["calls: the server saw nothing"]
    if len(mine) != len(theirs):
        wrong.append(f"calls: {len(mine)} statements, the server has {len(theirs)}")
    for i, (m, t) in enumerate(zip(mine, theirs)):
        if not t.error and m.rows != t.rows:
            wrong.append(f"rows of number {i}: {m}; the server's {t}")
        if m.error != t.error:
            wrong.append(f"failures: number {i}: {m}; the server's {t}")
        if t.text and not key(t.text).startswith(key(m.text)[:60].rstrip()) or not m.text and t.error != 1243:
            wrong.append(f"calls: number {i}: {m}; the server's {t}")
    return wrong[:6]


def kinds(mine, theirs, com):
    """What prepared statements were, only these counters tell."""
    wrong, seen = [], Counter()
    for m, t in zip(mine, theirs):
        verb = re.sub(r"/\*.*?\*/", "", m.text, flags=re.S).split(None, 1)
        counted = t.event != "statement/com/Prepare" and t.error != 1243
        if counted and verb and verb[0].upper() in COM:
            seen[COM[verb[0].upper()]] += 1
    seen["select"] += IN_PROCEDURE * seen["call_procedure"]
    seen["select"] += sum(m.text.startswith("EXECUTE ") for m in mine)  # of a SELECT that PREPARE named
    for name, n in com.items():
        if seen[name] != n:
            wrong.append(f"calls: {seen[name]} {name}, the server's Com_{name} says {n}")
    return wrong


def histogram(directory, name, mine):
    good, bad = drivers_check.histogram(directory)
    failed = sum(bool(m.error) for m in mine)
    if (good[name], bad[name]) == (len(mine) - failed, failed):
        return []
    return [f"histogram: {good[name]} statements, {bad[name]} failures; spans: {len(mine) - failed}, {failed}"]


def near(got, wanted):
    """The server's timer runs on after the answer is sent: the client may have gone on, on the only CPU that is free."""
    return wanted - max(0.03 * wanted, 50e-6) <= got <= wanted + max(0.15 * wanted, 50e-6)


def not_late(got, wanted):
    """The client's wake-up may take the CPU from the server before it has stopped its timer: on a busy machine by any time."""
    return 0 < got <= wanted + max(0.15 * wanted, 50e-6)


# Not compared: results that a client still reads when the server has sent all, long texts that it is still sending before the
# server's clock runs, statements of one text, whose results may come in one piece, and what runs once or twice.
FEW_ROWS, SHORT, OFTEN = 200, 8000, 3
LATE_US = 1000


class Times:
    """
    By statement: what its executions took here and by the server's own clock. `means`: how many statements have a mean within
    15 % or 50 us of the server's. On a busy machine one wait for a CPU spoils a mean; there the median, the least, or one
    execution held against itself may still agree (`agree`). Statements that sleep have to.
    """

    def __init__(self, mine, theirs):
        self.above, self.late, self.means, self.others = [], [], 0, []
        agree, pairs = 0, defaultdict(list)
        in_text = {i + k for i, t in enumerate(theirs) if t.goes_on for k in (-1, 0)}
        for i, (m, t) in enumerate(zip(mine, theirs)):
            if not t.error and not t.fetched and m.text and i not in in_text and t.rows <= FEW_ROWS and len(t.text) < SHORT \
                    and "REPEAT" not in m.text:
                pairs[key(m.text)].append((m.ns / 1e9, t.ns / 1e9))
        pairs = {k: both for k, both in pairs.items() if len(both) >= OFTEN}
        for k, both in pairs.items():
            got, wanted = zip(*both)
            self.above.append((min(got) - min(wanted)) * 1e6)
            said = f"time of {k!r}: mean {statistics.mean(got) * 1e6:.0f} us, the server's {statistics.mean(wanted) * 1e6:.0f} us"
            if near(statistics.mean(got), statistics.mean(wanted)):
                self.means += 1
            if any(near(f(got), f(wanted)) for f in (statistics.mean, statistics.median, min)) or any(not_late(*b) for b in both):
                agree += 1
            else:
                self.others.append(said)
                if "SLEEP" in k:
                    self.late.append(said)
        # How many agree says as much of the machine as of Sonde: it is printed. That most are a millisecond late, it would not do.
        if self.above and statistics.median(self.above) > LATE_US:
            self.late.append(f"time: of {len(pairs)} statements {agree} agree with the server, half are {statistics.median(self.above):.0f} us above it")


def spread(above):
    return f"{statistics.median(above):.0f} (at most {max(above):.0f})" if above else ""


def cell(args, backend, driver, transport):
    name, directory = f"{driver}_{transport}", f"{args.dir}/otlp-{backend}"
    lists, com = server(f"{args.dir}/{backend}.events")
    theirs, mine = lists[name], ours(directory)[name]
    wrong = differing(mine, theirs) or kinds(mine, theirs, com[name])
    wrong += histogram(directory, name, mine)
    took = Times(mine, theirs)
    failed = sum(bool(t.error) for t in theirs)
    return wrong + took.late, (len(theirs) - failed, sum(t.rows for t in theirs if not t.error), failed), took


def check_cells(args):
    failed = 0
    for driver in args.names:
        for transport in TRANSPORTS:
            if (driver, transport) in NONE:
                continue
            for backend in args.backends:
                wrong, numbers, took = cell(args, backend, driver, transport)
                best = f"; {took.means} of {len(took.above)} means agree, {spread(took.above)} us above the server's"
                print(f"{'FAIL' if wrong else 'ok  '} {driver} {transport} {backend}: {numbers[0]} calls, {numbers[1]} rows, "
                      f"{numbers[2]} failures{best}")
                for line in wrong + took.others:
                    print(f"       {line}")
                failed += bool(wrong)
    return failed


class Wire:
    def __init__(self):
        self.packets, self.commands, self.failed, self.changed = 0, Counter(), Counter(), 0


def dissect(capture, port):
    """By database, which the login names."""
    fields = ["tcp.stream", "mysql.schema", "mysql.command", "mysql.error_code", "mysql.affected_rows", "mysql.packet_number"]
    command = ["tshark", "-r", capture, "-d", f"tcp.port=={port},mysql", "-Y", "mysql", "-T", "fields"]
    out = subprocess.run(command + [x for f in fields for x in ("-e", f)], check=True, capture_output=True, text=True).stdout
    streams, wires = {}, defaultdict(Wire)
    for line in out.splitlines():
        stream, schema, commands, errors, affected, packets = line.split("\t")
        if schema and stream not in streams:
            streams[stream] = schema
        wire = wires[streams.get(stream)]
        wire.packets += packets.count(",") + 1
        wire.commands.update(int(c, 0) for c in commands.split(",") if c)
        wire.failed.update(int(e, 0) for e in errors.split(",") if e)
        wire.changed += sum(int(n, 0) for n in affected.split(",") if n)
    return wires


COM_QUERY, COM_EXECUTE, COM_BULK_EXECUTE = 3, 23, 250


def check_wire(args):
    failed = 0
    for backend in args.backends:
        wires = dissect(f"{args.dir}/{backend}.pcapng", args.port)
        lists, _ = server(f"{args.dir}/{backend}.events")
        for driver in DRIVERS:
            name = driver + "_tcp"
            wire, mine = wires[name], ours(f"{args.dir}/otlp-{backend}")[name]
            # More than one statement may be in a text; what failed to be prepared was not executed.
            less = sum(t.goes_on or t.event == "statement/com/Prepare" for t in lists[name])
            got = {"commands": len(mine) - less, "failures": dict(Counter(m.error for m in mine if m.error)),
                   "changed": sum(m.affected for m in mine)}
            seen = {"commands": sum(wire.commands[c] for c in (COM_QUERY, COM_EXECUTE, COM_BULK_EXECUTE)),
                    "failures": dict(wire.failed), "changed": wire.changed}
            good = got == seen and wire.packets > 0
            print(f"{'ok  ' if good else 'FAIL'} {name} {backend}: {wire.packets} packets, {seen}" + ("" if good else f", but {got}"))
            failed += not good
    return failed


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
            best += [r[2] for r in results] if transport == "tcp" else []
            names = sorted({line.split(" ")[0].rstrip(":") for r in results for line in r[0]})
            cells.append("differs: " + ", ".join(names) if names else "=")
        took = max(best, key=lambda t: (t.means, -statistics.median(t.above or [0])))
        yield "| {} | {} | {} | {} | {} | {} |".format(title, *first, " | ".join(cells), spread(took.above))


def check_table(args):
    return drivers_check.write_table(args, "<!-- made by tests/e2e/mysql_drivers.bats -->", table(args))


if __name__ == "__main__":
    sys.exit(drivers_check.main(__doc__, globals()))
