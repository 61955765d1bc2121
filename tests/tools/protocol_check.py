# SPDX-License-Identifier: Apache-2.0
"""
Judges what Sonde says of PostgreSQL connections by what the client saw itself (facts.json of postgres_protocol.py), by
pg_stat_activity and by the server's log. Each check prints what it compared and exits with 1 when something differs.
"""
import argparse
import json
import pathlib
import re
import sys
from collections import Counter

import e2e_otlp as otlp

CREATE = "db.client.connection.create_time"
PHASE = "sonde.db.client.connection.phase.duration"
COUNT = "db.client.connection.count"
wrong = 0


def say(holds, text):
    global wrong
    wrong += not holds
    print(("ok    " if holds else "WRONG ") + text)


def same(what, ours, theirs):
    say(ours == theirs, f"{what}: {ours}, should be {theirs}")


def points(args, name):
    return [p for p in otlp.points(args.otlp) if p.name == name and p.service == args.service]


def spans(args):
    return [s for s in otlp.spans(args.otlp) if s.is_sql and s.service == args.service]


def check_pools(args):
    """pg_stat_activity: a file of lines 'state|connections'."""
    server = Counter()
    for line in pathlib.Path(args.activity).read_text().split("\n"):
        if "|" in line:
            state, n = line.split("|")
            server["idle" if state == "idle" else "used"] += int(n)
    ours = {p.attrs["db.client.connection.state"]: int(p.value) for p in points(args, COUNT)}
    same("connections by state", ours, {"idle": server["idle"], "used": server["used"]})
    same("pools", {p.attrs["db.client.connection.pool.name"] for p in points(args, COUNT)}, {args.database})


def check_connects(args):
    facts = json.loads(pathlib.Path(args.facts).read_text())
    log = pathlib.Path(args.log).read_text()
    authorized = len(re.findall(rf"connection authorized: user=\S+ database={args.database} application_name=pool one", log))
    
    same("connections that the client opened and the server authorized", facts["opened"], authorized)
    created = [p for p in points(args, CREATE) if "error.type" not in p.attrs]
    same("created", sum(p.count for p in created), authorized)
    took = sum(p.sum for p in created)
    say(0.4 * facts["connect_s"] < took <= facts["connect_s"],
        f"they took {took:.4f} s; the client waited {facts['connect_s']:.4f} s for its driver")
    same("pool", {p.attrs["db.client.connection.pool.name"] for p in created}, {args.database})
    phases = {p.attrs["sonde.connection.phase"]: p for p in points(args, PHASE)}
    same("phases", sorted(phases), sorted(args.phases.split(",")))
    for name, p in phases.items():
        same(f"phase {name}", p.count, authorized)
    parts = sum(p.sum for p in phases.values())
    say(0.5 * took <= parts <= took * 1.001, f"the phases are {parts:.4f} s of {took:.4f} s")
    failed = Counter()
    for p in points(args, CREATE):
        if "error.type" in p.attrs:
            failed[p.attrs["error.type"]] += p.count
    same("failed, by error.type", dict(failed), facts["failed"])
    firsts = [s.attrs["sonde.db.connect.duration"] for s in spans(args) if "sonde.db.connect.duration" in s.attrs]
    same("first statements that tell how long their connection took", len(firsts), authorized)
    say(abs(sum(firsts) - took) < 1e-6, f"together {sum(firsts):.6f} s")


def check_statements(args):
    facts = json.loads(pathlib.Path(args.facts).read_text())
    mine = spans(args)
    same("application_name", {s.attrs.get("sonde.db.application_name") for s in mine}, {"pool one"})
    same("database", {s.attrs.get("db.namespace") for s in mine}, {args.database})
    marked = [s for s in mine if s.attrs.get("sonde.db.cancel_requested")]
    same("statements marked as cancelled", [(s.text, s.attrs.get("error.type")) for s in marked],
         [("SELECT ?, pg_sleep(?)", "57014")] * facts.get("cancelled_by_hand", 0) + [("SELECT pg_sleep(?)", "57014")] * facts["cancelled"])
    for mode, size in facts["large"].items():
        texts = [s.text for s in mine if f'"{mode} ' in s.text]
        same(f"statements of {size} bytes, {mode}", len(texts), 1)
        for text in texts:
            same(f"{mode}: characters kept", len(text), args.text_max)
            say(re.match(rf'SELECT (\?|\$1)(, \?)? AS "{mode} é+"', text) and text[-1] in "é", f"{mode}: {text[:40]}... {text[-3:]}")
    for s in mine:
        first = s.attrs.get("sonde.db.response.time_to_first_row")
        if "pg_sleep(?) FROM" in s.text or "early" in s.text:
            say(first is not None and first < 0.2 and s.ns > 0.4e9, f"early rows: first after {first} of {s.ns / 1e9:.3f} s")
        elif s.text == "SELECT ?, pg_sleep(?)" and not s.status:
            say(first is not None and first >= 0.2, f"late row: first after {first} of {s.ns / 1e9:.3f} s")
        elif "WHERE" in s.text and "false" in s.text.lower():
            same("no row, no time to the first", first, None)
        if first is not None:
            say(0 < first <= s.ns / 1e9, f"{s.text[:30]}: first row within the statement")


def check_secret(args):
    """A recording holds what the kernel side said."""
    facts = json.loads(pathlib.Path(args.facts).read_text())
    kept = pathlib.Path(args.recording).read_bytes()
    say(kept.count(facts["backend"].to_bytes(4, sys.byteorder)) > 0, "the recording has the number of the server's process")
    say(kept.count(facts["backend"].to_bytes(4, "big")) > 0, "and what the CancelRequest said of it")
    same("times that it has the secret", kept.count(bytes.fromhex(facts["secret"])), 0)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("check", choices=["pools", "connects", "statements", "secret"])
    for name in "otlp", "service", "database":
        parser.add_argument(f"--{name}", required=True)
    for name in "facts", "log", "activity", "phases", "recording":
        parser.add_argument(f"--{name}")
    parser.add_argument("--text-max", type=int, default=4096)
    args = parser.parse_args()
    {"pools": check_pools, "connects": check_connects, "statements": check_statements, "secret": check_secret}[args.check](args)
    sys.exit(1 if wrong else 0)


main()
