# SPDX-License-Identifier: Apache-2.0
"""
What Sonde says of transactions and returned rows, compared with what the application did (app/transactions.py) and with
the server's own counters. Prints what it compared; exits with 1 when something differs.

    transactions_check.py --otlp DIRECTORY --service NAME --did FILE [--commits N --rollbacks N] [--rows N]
        [--namespace DATABASE] [--system NAME]
"""
import argparse
import json
import sys

import e2e_otlp

PREFIX = "sonde.db.client.transaction."
status = 0


def say(holds, text):
    global status
    print(("ok    " if holds else "WRONG ") + text)
    if not holds:
        status = 1


def same(what, ours, theirs):
    say(ours == theirs, f"{what}: {ours}, expected {theirs}")


def between(what, low, ours, high):
    say(low <= ours <= high, f"{what}: {ours:.4f}, expected {low:.4f} to {high:.4f}")


def outcome(items, word):
    return [i for i in items if i.attrs.get("sonde.db.transaction.outcome") == word]


def total(points, name, word=None):
    found = [p for p in points if p.name == name]
    found = outcome(found, word) if word else found
    return sum(p.count for p in found), sum(p.sum for p in found)


def check_metrics(args, did, points):
    n = did["commit"] + did["rollback"] + did["closed"]
    rollbacks = did["rollback"] + did["closed"]
    commits, _ = total(points, PREFIX + "duration", "commit")
    same("commits", commits, did["commit"])
    rolled, _ = total(points, PREFIX + "duration", "rollback")
    same("rollbacks", rolled, rollbacks)
    if args.commits is not None:
        same("commits, by the server", commits, args.commits)
    if args.rollbacks is not None:
        same("rollbacks, by the server", rolled, args.rollbacks)
    count, seconds = total(points, PREFIX + "duration")
    between("seconds in transactions", did["slept"], seconds, did["seconds"] + 0.001 * n)
    idle_n, idle = total(points, PREFIX + "idle_time")
    same("idle times", idle_n, count)
    # what is not slept is what the client needs between its calls: a busy machine may take a while
    between("seconds idle", did["slept"], idle, did["slept"] + 0.8 * (did["seconds"] - did["slept"]) + 0.001 * n)
    say(idle < seconds, "idle is less than all")
    statements_n, statements = total(points, PREFIX + "statements")
    same("transactions with statements", statements_n, n)
    same("statements", statements, did["statements"])
    for p in points:
        if p.name.startswith(PREFIX):
            say(p.attrs.get("db.system.name") == args.system and p.attrs.get("db.namespace") == args.namespace
                and "server.address" in p.attrs, f"attributes {p.attrs}")
            same(f"buckets of {p.name}", sum(p.counts), p.count)
            if p.name == PREFIX + "idle_time" and p.attrs.get("sonde.db.transaction.outcome") == "commit":
                same("bounds", p.bounds[:-1], [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10])


def check_rows(args, did, points):
    name = "db.client.response.returned_rows"
    rows = [p for p in points if p.name == name]
    _, n = total(points, name)
    same("rows that came back", n, did["rows"])
    if args.rows is not None:
        same("rows that came back, by the server", n, args.rows)
    for p in rows:
        same(f"buckets of rows of {p.attrs.get('db.query.summary')}", sum(p.counts), p.count)
    same("bounds of rows", {tuple(p.bounds[:-1]) for p in rows},
         {(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000)})


def check_spans(did, spans, points):
    ends = [s for s in spans if "sonde.db.transaction.outcome" in s.attrs]
    same("spans that commit", len(outcome(ends, "commit")), did["commit"])
    same("spans that roll back", len(outcome(ends, "rollback")), did["rollback"])
    for s in ends:
        duration, idle = s.attrs["sonde.db.transaction.duration"], s.attrs["sonde.db.transaction.idle_time"]
        if not (duration >= idle >= 0 and duration * 1e9 >= s.ns - 1000 and s.attrs["sonde.db.transaction.statements"] > 0):
            say(False, f"span {s.name} {s.attrs}")
    for word in ("commit", "rollback"):
        if word == "rollback" and did["closed"]:
            continue  # that one has no span
        _, seconds = total(points, PREFIX + "duration", word)
        by_spans = sum(s.attrs["sonde.db.transaction.duration"] for s in outcome(ends, word))
        between(f"seconds of {word}, by the spans", seconds - 1e-6, by_spans, seconds + 1e-6)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--otlp", required=True)
    p.add_argument("--service", required=True)
    p.add_argument("--did", required=True)
    p.add_argument("--commits", type=int)
    p.add_argument("--rollbacks", type=int)
    p.add_argument("--rows", type=int)
    p.add_argument("--namespace")
    p.add_argument("--system", default="postgresql")
    p.add_argument("--without-spans", action="store_true")
    args = p.parse_args()
    with open(args.did, encoding="utf-8") as f:
        did = json.load(f)
    points = [x for x in e2e_otlp.points(args.otlp) if x.service == args.service]
    spans = [x for x in e2e_otlp.spans(args.otlp) if x.service == args.service]
    check_metrics(args, did, points)
    check_rows(args, did, points)
    if args.without_spans:
        same("spans", len(spans), 0)
    else:
        check_spans(did, spans, points)
    return status


if __name__ == "__main__":
    sys.exit(main())
