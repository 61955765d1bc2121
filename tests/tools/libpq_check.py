# SPDX-License-Identifier: Apache-2.0
"""
What app/libpq_calls.py did, found again in what Sonde exported and recorded. Exit status 1 when something is not.

    libpq_check.py --otlp DIR --service NAME --did FILE --record FILE
"""
import argparse
import json
import re
import struct
import sys
from collections import Counter

import e2e_otlp as otlp

ALIAS = re.compile(r"\bAS (\w+)")
EVENT, LIBPQ_CONN, GONE = 1, 8, 3
failed = []


def same(what, ours, theirs):
    print(("ok   " if ours == theirs else "FAIL ") + f"{what}: {ours}" + ("" if ours == theirs else f", expected {theirs}"))
    if ours != theirs:
        failed.append(what)


def connections(path, tgid):
    """EVENT_LIBPQ_CONN of a process: (start, end, failed, form)."""
    data = open(path, "rb").read()
    at = struct.unpack_from("<I", data, 12)[0]
    while at + 16 <= len(data):
        size, kind = struct.unpack_from("<IH", data, at)
        at += 16
        if kind == EVENT:
            _, event, _, _, _, of = struct.unpack_from("<IHHQQI", data, at)
            if event == LIBPQ_CONN and of == tgid:
                _, start, end, bad, _, form = struct.unpack_from("<QQQIII", data, at + 32)
                yield start, end, bad, form
        at += (size + 7) // 8 * 8


def main():
    p = argparse.ArgumentParser()
    for name in ("otlp", "service", "did", "record"):
        p.add_argument("--" + name, required=True)
    args = p.parse_args()
    did = json.loads(open(args.did).read().splitlines()[-1])
    spans = [s for s in otlp.spans(args.otlp) if s.service == args.service and s.is_sql]
    same("told by libpq", {s.attrs.get("sonde.source") for s in spans}, {"libpq"})
    same("databases", {s.attrs.get("db.namespace") for s in spans}, {did["database"]})
    # What could not be prepared, on purpose, was not run.
    ran = [s for s in spans if s.attrs.get("error.type") != "42P05"]
    ours = Counter(m[1] for s in ran if (m := ALIAS.search(s.text)))
    same("statements by what they call their column", dict(sorted(ours.items())), dict(sorted(did["aliases"].items())))
    copies = [s for s in spans if s.text.startswith("COPY")]
    same("COPY statements", len(copies), did["copies"])
    same("bytes of COPY", sum(s.attrs.get("sonde.db.copy.bytes", 0) for s in copies), did["copy_bytes"])
    same("COPY bytes elsewhere", [s.text for s in spans if "sonde.db.copy.bytes" in s.attrs and s not in copies], [])
    asked = [s for s in spans if s.attrs.get("sonde.db.cancel_requested") is True]
    same("cancelled statements", [(s.text, s.attrs.get("error.type")) for s in asked], [("SELECT pg_sleep(?)", "57014")] * did["cancels"])
    same("statements without a text: function calls", sum(not s.text for s in spans), did["functions"])
    events = list(connections(args.record, did["pid"]))
    ended = [e for e in events if e[1] and e[3] != GONE]
    same("connections made", sum(not e[2] for e in ended), did["connects"])
    same("connections that failed", sum(e[2] for e in ended), did["failed_connects"])
    same("their times", all(0 < e[0] < e[1] < e[0] + 5_000_000_000 for e in ended), True)
    sys.exit(bool(failed))


main()
