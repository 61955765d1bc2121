# SPDX-License-Identifier: Apache-2.0
"""
Large results (app/large_results.py): each statement has one span, with the rows or the error that the client got, and
the rows of all of them are in the metric. Prints what it compared; exits with 1 when something differs.

    large_check.py --otlp DIRECTORY --service NAME --did FILE [--counts FILE --database NAME]
"""
import argparse
import json
import re
import sys

import e2e_otlp

COLUMN = re.compile(r"\bAS (r\d\d)\b")
status = 0


def same(what, ours, theirs):
    global status
    print(("ok    " if ours == theirs else "WRONG ") + f"{what}: {ours}, expected {theirs}")
    if ours != theirs:
        status = 1


def named(text):
    found = COLUMN.search(text)
    return found and found[1]


parser = argparse.ArgumentParser()
for option in ("otlp", "service", "did", "counts", "database"):
    parser.add_argument("--" + option)
args = parser.parse_args()
did = json.load(open(args.did))
spans = {}
for s in e2e_otlp.spans(args.otlp):
    if s.service == args.service and s.is_sql and named(s.text):
        spans.setdefault(named(s.text), []).append(s.attrs)
for name, what in sorted(did.items()):
    ours = spans.pop(name, [])
    same(f"spans of {name}", len(ours), 1)
    for attrs in ours:
        if "error" in what:
            same(f"error of {name}", attrs.get("db.response.status_code"), str(what["error"]))
        else:
            same(f"rows of {name}", attrs.get("db.response.returned_rows"), what["rows"])
same("other spans", sorted(spans), [])
if args.counts:
    # It takes statements that differ in names alone for one. Of r30, a portal in portions, it keeps the last one's rows.
    counts = [c for c in map(json.loads, open(args.counts)) if c["database"] == args.database and named(c["query"])]
    same("rows, by the server", sum(what.get("rows", 0) for name, what in did.items() if name != "r30"),
         sum(c["rows"] for c in counts if named(c["query"]) != "r30"))
sys.exit(status)
