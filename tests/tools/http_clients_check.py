# SPDX-License-Identifier: Apache-2.0
"""
Compares what Sonde exported of an HTTP client with what its server was asked:
http_clients_check.py --spans DIR --log ORIGIN.LOG --server NAME [--opaque NAME,NAME] CLIENT...

Each request once on either side, with method, path, status and error; below each other; the histograms count the same.
--opaque: clients whose TLS is their own: only the server's side is there.
"""
import argparse
import json
import re
import sys
from collections import Counter
from urllib.parse import urlsplit

import e2e_otlp

CUT = {"cut", "reset", "hangup", "slow"}


def show(what, expected, got):
    wrong = expected != got
    print(f"{what}: {sum(got.values())} of {sum(expected.values())}" + (" WRONG" if wrong else ""))
    for key in (expected - got):
        print("  missing", key, expected[key] - got[key])
    for key in (got - expected):
        print("  too many", key, got[key] - expected[key])
    return wrong


def key(span, path, status, error):
    kind = path.split("/")[1]
    return span, path, status, "cut" if kind in CUT else error


def asked_of(r, side):
    """What a span of the request must say."""
    status = r["status"]
    error = str(status) if status >= (400 if side == "client" else 500) else None
    if side == "client" and r["kind"] == "slow":
        status = 0  # it did not wait
    return key(r["method"], r["path"].split("?")[0], status, error)


def told(span):
    return key(span.attrs["http.request.method"], path_of(span), span.attrs.get("http.response.status_code", 0),
               span.attrs.get("error.type"))


def path_of(span):
    return span.path or urlsplit(span.attrs.get("url.full", "")).path


def check(a, client):
    mine = re.compile(r"/\w+/" + re.escape(client) + "-")
    with open(a.log, encoding="utf-8") as file:
        asked = [r for r in map(json.loads, file) if mine.match(r["path"])]
    spans = [s for s in e2e_otlp.spans(a.spans) if s.service in (client, a.server) and mine.match(path_of(s))]
    servers = [s for s in spans if s.is_server and s.service == a.server]
    clients = {s.id: s for s in spans if s.kind == e2e_otlp.CLIENT and s.service == client}
    print("#", client)
    wrong = not asked
    wrong |= show("server spans", Counter(asked_of(r, "server") for r in asked), Counter(map(told, servers)))
    wrong |= any("not-in-any-output" in str(s.attrs) for s in spans)
    if client in a.opaque.split(","):
        return wrong or bool(clients)
    wrong |= show("client spans", Counter(asked_of(r, "client") for r in asked), Counter(map(told, clients.values())))
    # A client that did not wait has told its span long ago: on a busy host that is forgotten.
    waited = [s for s in servers if s.parent in clients or not s.path.startswith("/slow/")]
    pairs = Counter("none" if s.parent not in clients else "right" if path_of(clients[s.parent]) == s.path else "wrong"
                    for s in waited)
    # Nor is one found whose first bytes on a new connection were answered before its own hook ran: rare, and never wrong.
    print("below their client span:", dict(pairs))
    wrong |= pairs["wrong"] > 0 or pairs["none"] > 1 or not pairs["right"]
    points = [q for q in e2e_otlp.points(a.spans) if q.service == client and q.name == e2e_otlp.DURATION["client"]]
    return wrong | show("histogram", Counter(requests=len(asked)), Counter(requests=sum(q.count for q in points)))


def main():
    p = argparse.ArgumentParser()
    for name in ("spans", "log", "server"):
        p.add_argument("--" + name, required=True)
    p.add_argument("--opaque", default="")
    p.add_argument("clients", nargs="+")
    a = p.parse_args()
    sys.exit(sum([check(a, client) for client in a.clients]) > 0)


main()
