# SPDX-License-Identifier: Apache-2.0
"""
Compares what Sonde exported of a service with its client's own records and with pg_stat_statements:
services_check.py --spans DIR --counts FILE --service NAME --alone CLIENT.jsonl --together CLIENT.jsonl

Statements name the id of their request (AS id_r17). One at a time each has its request as its parent; of requests that
were open together on one thread it has that or none, and never another's; with --linked nearly all have that. r0 is no request's.
With --moves its requests go from thread to thread: one at a time too, some have no parent.
With --asks it asks another service, by HTTP, instead of a database. With --server the requests are those of another service, which hands them on.
"""
import argparse
import json
import re
import sys
from collections import Counter

import e2e_otlp


def lines(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def parents(spans, service, alone):
    """How many statements of each kind of request (alone, together) have a parent that is right, wrong, or none."""
    by_id = {span.id: span for span in spans}
    seen = Counter()
    for span in spans:
        found = re.search(r"\bid_(\w+)", span.text)
        if span.service != service or not span.is_sql or not found:
            continue
        kind = "alone" if found[1] in alone else "together"
        parent = by_id.get(span.parent)
        seen[kind, "none" if not parent else "right" if f"/{found[1]}/" in parent.path else "wrong"] += 1
    return seen


def asked(spans, service):
    """How many of its HTTP calls have a parent that is right, wrong, or none."""
    by_id = {span.id: span for span in spans}
    seen = Counter()
    for span in spans:
        if span.service == service and span.kind == e2e_otlp.CLIENT and "url.full" in span.attrs:
            parent = by_id.get(span.parent)
            seen["none" if not parent else "right" if span.attrs["url.full"].endswith(parent.path) else "wrong"] += 1
    return seen


def check_asked(a, spans, requests):
    seen = asked(spans, a.service)
    calls = sum(2 for kind in requests for r in requests[kind] if r["page"] == "orders")
    print(dict(seen), "of", calls)
    sys.exit(sum(seen.values()) != calls or seen["wrong"] > 0 or seen["right"] < a.linked * calls)


def main():
    p = argparse.ArgumentParser()
    for name in ("spans", "counts", "service", "alone", "together"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--server", help="the service whose requests they are, when it is another")
    p.add_argument("--asks", action="store_true", help="another service, by HTTP")
    p.add_argument("--moves", action="store_true", help="requests that go from thread to thread, some without a parent")
    p.add_argument("--linked", type=float, default=0, help="so large a part of the statements of requests together is linked")
    a = p.parse_args()
    spans = list(e2e_otlp.spans(a.spans))
    requests = {kind: [r for r in lines(getattr(a, kind)) if r["outcome"] == "ok"] for kind in ("alone", "together")}
    if a.asks:
        check_asked(a, spans, requests)
    counts = [c for c in lines(a.counts) if c["database"] == a.service]
    statements = [s for s in spans if s.service == a.service and s.is_sql]
    seen = parents(spans, a.service, {r["id"] for r in requests["alone"]})
    orders = sum(r["page"] == "orders" for r in requests["alone"])
    compared = [
        ("requests", sum(map(len, requests.values())), sum(s.service == (a.server or a.service) and s.is_server for s in spans)),
        ("statements", sum(c["calls"] for c in counts), len(statements)),
        ("rows", sum(c["rows"] for c in counts), sum(s.rows or 0 for s in statements)),
        ("wrong parents", 0, seen["alone", "wrong"] + seen["together", "wrong"]),
    ]
    if not a.moves:
        compared.append(("right parents, one at a time", 2 * orders, seen["alone", "right"]))
    print(dict(seen))
    expected = a.linked * 2 * sum(r["page"] == "orders" for r in requests["together"])
    if seen["together", "right"] < expected:
        sys.exit(f"right parents, together: {seen['together', 'right']} of at least {expected:.0f}")
    for what, expected, got in compared:
        print(f"{what}: {got} of {expected}")
    sys.exit(any(expected != got for _, expected, got in compared) or not requests["together"])


main()
