# SPDX-License-Identifier: Apache-2.0
"""
Compares what Sonde exported with what others counted. Every check prints what it compared; the exit status is 1 when
one of them does not hold. Sub-commands are the functions check_*.

    e2e_check.py counts,parents --otlp DIR --service shop --client client.jsonl
    e2e_check.py statements --otlp DIR --service shop --counts pg.jsonl --database shop
    e2e_check.py parents --otlp DIR --service shop
"""
import argparse
import json
import re
import statistics
import sys
from collections import Counter, defaultdict

import e2e_otlp as otlp

FAILED = []
RID = re.compile(r'\bas\s+"?(r\d+)\b', re.I)
PATH_RID = re.compile(r"^/\w+/(r\d+)/")
# Sent by nobody: PostgreSQL's own checks of foreign keys, which Django defers to the COMMIT.
NOT_SENT = re.compile(r"^SELECT .* FROM ONLY .* FOR KEY SHARE OF x$")


def say(holds, text):
    print(("ok   " if holds else "FAIL ") + text)
    if not holds:
        FAILED.append(text)


def same(what, ours, theirs):
    say(ours == theirs, f"{what}: {ours}" + ("" if ours == theirs else f", expected {theirs}"))


def same_counter(what, ours, theirs):
    differ = {k: (ours.get(k, 0), theirs.get(k, 0)) for k in ours.keys() | theirs.keys() if ours.get(k, 0) != theirs.get(k, 0)}
    some = dict(list(differ.items())[:8])
    say(not differ, f"{what}: {sum(ours.values())} in {len(ours)} kinds" + (f"; (ours, theirs) differ: {some}" if differ else ""))


def json_lines(paths):
    return [json.loads(line) for path in paths for line in open(path) if line.strip()]


def answered(args):
    return [r for r in json_lines(args.client) if r["outcome"] in ("ok", "abort")]


def of_service(args, items):
    return [x for x in items if x.service == args.service]


def servers(args):
    """Server spans of requests that a client of ours made: they have an id in the path."""
    return [s for s in of_service(args, otlp.spans(args.otlp)) if s.is_server]


def in_run(args, spans):
    """Without the requests that came before the client began to count."""
    wanted = {r["id"] for r in json_lines(args.client)}
    return [s for s in spans if (PATH_RID.match(s.path) or [0, 0])[1] in wanted]


def check_counts(args):
    """Server spans and histogram counts equal the client's count: in total, by method and status, by request."""
    client, spans = answered(args), servers(args)
    points = [p for p in of_service(args, otlp.points(args.otlp)) if p.name == otlp.DURATION["server"]]
    theirs = Counter((r["method"], r["status"]) for r in client)
    if not args.histogram_only:
        same("server spans", len(spans), len(client))
        ours = Counter((s.attrs["http.request.method"], s.attrs.get("http.response.status_code")) for s in spans)
        same_counter("server spans by method and status", ours, theirs)
        same_counter("server spans by path", Counter(s.path for s in spans), Counter(r["path"] for r in client))
        same("distinct span ids", len({s.id for s in spans}), len(spans))
    same("histogram count", sum(p.count for p in points), len(client))
    same("histogram bucket counts", sum(sum(p.counts) for p in points), len(client))
    ours = Counter()
    for p in points:
        ours[p.attrs["http.request.method"], p.attrs.get("http.response.status_code")] += p.count
    same_counter("histogram by method and status", ours, theirs)


def verb(text):
    return text.split(None, 1)[0].strip(";").upper() if text.strip() else "?"


def check_statements(args):
    """Statement spans equal pg_stat_statements: calls and rows, in total and by kind; failures equal the server's log."""
    spans = [s for s in of_service(args, otlp.spans(args.otlp)) if s.is_sql]
    fine = [s for s in spans if "error.type" not in s.attrs]
    counts = [c for c in json_lines(args.counts) if c["database"] == args.database and not NOT_SENT.match(c["query"])]
    calls, rows = Counter(), Counter()
    for c in counts:
        calls[verb(c["query"])] += c["calls"]
        rows[verb(c["query"])] += c["rows"]
    ours_calls, ours_rows = Counter(), Counter()
    for s in fine:
        ours_calls[verb(s.text)] += 1
        ours_rows[verb(s.text)] += s.rows
    points = [p for p in of_service(args, otlp.points(args.otlp)) if p.name == otlp.DURATION["db"]]
    errors = dict(e.split("=") for e in args.errors)
    if not args.histogram_only:
        same("statement spans", len(fine), sum(calls.values()))
        if not args.totals:
            same_counter("statement spans by kind", ours_calls, calls)
        same("rows", sum(s.rows for s in fine), sum(rows.values()))
        if not args.totals:
            same_counter("rows by kind", +ours_rows, +rows)
        failed = Counter(s.attrs["error.type"] for s in spans if "error.type" in s.attrs)
        same_counter("failed statements", failed, Counter({k: int(v) for k, v in errors.items()}))
        say(all(s.attrs.get("db.response.status_code") == s.attrs["error.type"] and s.status == 2 for s in spans if "error.type" in s.attrs),
            "failed statements: SQLSTATE in db.response.status_code, status ERROR")
    same("histogram count", sum(p.count for p in points if "error.type" not in p.attrs), sum(calls.values()))
    failed = Counter()
    for p in points:
        if "error.type" in p.attrs:
            failed[p.attrs["error.type"]] += p.count
    same_counter("histogram of failed", +failed, Counter({k: int(v) for k, v in errors.items() if int(v)}))


def caused(path, alias, aliases):
    """Is alias what the request of this path puts into its statements?"""
    found = PATH_RID.match(path)
    n = int(found[1][1:]) if found else -1
    return alias == f"r{n % aliases if aliases else n}"


def check_parents(args):
    """Every statement is a child of the request that caused it: by id where it carries one, by time and service always."""
    everything = {s.id: s for s in otlp.spans(args.otlp)}
    spans = [s for s in everything.values() if s.service == args.service]
    sql = [s for s in spans if s.is_sql]
    say(len(sql) >= args.least, f"{len(sql)} statements, at least {args.least}")
    wrong, by_id, shapes = [], 0, defaultdict(Counter)
    texts = defaultdict(list)
    for s in sql:
        parent = everything.get(s.parent)
        rid = RID.search(s.text)
        by_id += bool(rid)
        if not (parent and parent.is_server and parent.service == s.service and parent.trace == s.trace):
            wrong.append((s.text[:80], s.parent, parent and parent.service))
        elif rid and not caused(parent.path, rid[1], args.aliases):
            wrong.append((s.text[:80], parent.path))
        elif not parent.start <= s.start <= s.end <= parent.end:
            wrong.append((s.text[:80], parent.path, s.start - parent.start, parent.end - s.end))
        else:
            texts[parent.id].append(s)
    say(not wrong, f"parents: {len(sql) - len(wrong)} of {len(sql)} statements, {by_id} of them proved by id; wrong: {wrong[:5]}")
    for s in spans:
        if s.is_server and s.path.count("/") >= 2:
            mine = sorted(texts[s.id], key=lambda c: c.start)
            # What opens a connection depends on who came first.
            shape = [RID.sub("as RID", c.text) for c in mine if "set_config" not in c.text and not c.text.startswith("SET ")]
            shapes[s.path.split("/")[1]]["; ".join(shape)] += 1
    for page, kinds in sorted(shapes.items()):
        rare = kinds.most_common()[1:]
        say(not rare, f"/{page}/: {sum(kinds.values())} requests, all with the same statements" + (f"; but {rare[:3]}" if rare else ""))


def check_durations(args):
    """Durations run to the last byte: per request near the client's own, and the histogram's median in its bucket or next."""
    client = {r["id"]: r for r in answered(args)}
    spans = [s for s in servers(args) if (PATH_RID.match(s.path) or [0, 0])[1] in client]
    points = [p for p in of_service(args, otlp.points(args.otlp)) if p.name == otlp.DURATION["server"]]
    say(bool(spans), f"{len(spans)} requests to compare")
    for page in sorted({r["page"] for r in client.values()}):
        # What the client adds: connecting, the two ways, and its own waiting for a CPU. Never negative but for clock steps.
        gaps = [(client[PATH_RID.match(s.path)[1]]["ns"] - s.ns) / 1e6 for s in spans if s.path.startswith(f"/{page}/")]
        median, least = statistics.median(gaps), min(gaps)
        say(-0.2 <= least and median <= args.tolerance_ms,
            f"/{page}/: client minus span: median {median:.2f} ms, least {least:.2f} ms, tolerance {args.tolerance_ms} ms")
    buckets = otlp.merged(points)
    bounds = list(buckets)
    ours = otlp.quantile_bucket(buckets, 0.5)
    p50 = statistics.median(s.ns for s in spans) / 1e9
    theirs = otlp.bucket_of(bounds, p50)
    say(abs(ours - theirs) <= 1, f"p50: exponential histogram's bucket {ours} (up to {bounds[ours]:.6f} s), spans {p50:.6f} s in bucket {theirs}")
    p50 = statistics.median(r["ns"] for r in client.values()) / 1e9
    ours, theirs = otlp.bucket_of(otlp.HTTP_BOUNDS, bounds[ours]), otlp.bucket_of(otlp.HTTP_BOUNDS, p50)
    say(abs(ours - theirs) <= 1, f"p50: histogram in the buckets of the conventions {ours}, load generator {p50:.6f} s in bucket {theirs}")


def check_waits(args):
    """Statements run to their last row: pg_sleep() takes what it is told, 1 MiB of rows what the application waited."""
    client, tolerance = {r["id"]: r for r in answered(args)}, args.tolerance_ms / 1e3
    mine = {}
    for s in of_service(args, otlp.spans(args.otlp)):
        if s.is_sql and RID.search(s.text):
            mine.setdefault(RID.search(s.text)[1], []).append(s)
    for page in ("sleep", "stream"):
        asked = [r for r in client.values() if r["page"] == page]
        say(len(asked) >= 3, f"/{page}/: {len(asked)} requests")
        over = []
        for r in asked:
            ours = mine.get(r["id"], [])
            least = 0.05 if page == "sleep" else float(r["head"])
            rows = 1 if page == "sleep" else 1024
            # What the application measures includes making 1,024 rows into Python objects; the span does not.
            low, high = (least, least + tolerance) if page == "sleep" else (least * 0.9 - tolerance, least + 0.001)
            if len(ours) != 1 or not low <= ours[0].ns / 1e9 <= high or ours[0].rows != rows:
                over.append((r["id"], [(s.ns / 1e9, s.rows) for s in ours], least, rows))
        # One in ten may be late on a busy machine: the wait for a CPU after the last byte is not ours.
        say(len(over) <= max(1, len(asked) // 10), f"/{page}/: statements last as long as they must; not: {over[:5]}")


def check_ledger(args):
    """seen = exported + dropped, from the self metrics; what the receiver has is what is said to be exported."""
    points = otlp.points(args.otlp)
    value = {name: sum(p.value for p in points if p.name == f"sonde.spans.{name}") for name in ("seen", "exported", "dropped")}
    reasons = {p.attrs.get("reason"): p.value for p in points if p.name == "sonde.spans.dropped" and p.value}
    say(value["seen"] > 0, f"seen {value['seen']:.0f}, exported {value['exported']:.0f}, dropped {reasons}")
    same("seen = exported + dropped", value["exported"] + value["dropped"], value["seen"])
    here = len(otlp.spans(args.otlp))
    if args.crashed:
        # What was sent but not yet counted as exported when the worker died is counted as lost.
        say(reasons.get("worker_crash", 0) > 0 or here == value["exported"], f"loss counted: {reasons}")
        say(here >= value["exported"], f"{here} spans at the receiver, at least {value['exported']:.0f}")
    else:
        same("spans at the receiver", here, value["exported"])
    if args.drops == "some":
        say(value["dropped"] > 0, "some were dropped")
    elif args.drops == "none":
        same("dropped", value["dropped"], 0)
    elif args.drops:
        say(reasons.get(args.drops, 0) > 0, f"some were dropped as {args.drops}")
    if args.summary:
        summary = [o["summary"] for o in json_lines([args.summary]) if "summary" in o]
        say(len(summary) == 1, f"one summary: {summary}")
        spans = summary[0]["spans"] if summary else {}
        same("summary: seen", spans.get("seen"), value["seen"])
        same("summary: exported", spans.get("exported"), value["exported"])
        dropped = spans.get("dropped", {})
        same("summary: dropped", sum(dropped.values()) if isinstance(dropped, dict) else dropped, value["dropped"])


def check_events(args):
    """What could not be followed is counted by its reason."""
    said = sum(p.value for p in otlp.points(args.otlp) if p.name == "sonde.events" and p.attrs.get("reason") == args.reason)
    say(said >= args.least, f"{args.reason}: {said:.0f}, at least {args.least}")


def check_no_errors(args):
    """Nothing of a service is called an error."""
    wrong = Counter((s.name, s.attrs.get("error.type")) for s in of_service(args, otlp.spans(args.otlp)) if "error.type" in s.attrs)
    same("errors", dict(wrong), {})


def check_overflow(args):
    """Operations that did not fit are counted together: nothing is missing from the sums."""
    points = otlp.points(args.otlp)
    said = sum(p.value for p in points if p.name == "sonde.events" and p.attrs.get("reason") == "histogram_overflow")
    calls = sum(c["calls"] for c in json_lines(args.counts) if c["database"] == args.database and not NOT_SENT.match(c["query"]))
    all_over = 0
    for metric, sent in (("db", calls), ("server", len(answered(args)))):
        mine = [p for p in points if p.name == otlp.DURATION[metric]]
        over = sum(p.count for p in mine if p.attrs.get("otel.metric.overflow"))
        rest = sum(p.count for p in of_service(args, mine) if not p.attrs.get("otel.metric.overflow"))
        # The overflow series is of all services together, so others on this host may be in it.
        say(over + rest >= sent, f"{otlp.DURATION[metric]}: {rest} under names, {over} in the overflow series, {sent} were sent")
        all_over += over
    say(0 < all_over <= said, f"{all_over} in overflow series, {said:.0f} exchanges are said to have overflown")


def check_errors(args):
    """5xx are error spans with error.type, 4xx of a server are not; a client that left is reported exactly once."""
    client, spans = {r["path"]: r for r in json_lines(args.client)}, servers(args)
    for s in spans:
        status = s.attrs.get("http.response.status_code", 0)
        if status >= 500:
            if s.attrs.get("error.type") != str(status) or s.status != 2:
                say(False, f"{s.path}: {status}, but error.type {s.attrs.get('error.type')}, status {s.status}")
        elif client.get(s.path, {}).get("outcome") != "abort" and ("error.type" in s.attrs or s.status != 0):
            say(False, f"{s.path}: {status} is no error, but error.type {s.attrs.get('error.type')}, status {s.status}")
    say(True, f"{sum(s.attrs.get('http.response.status_code', 0) >= 500 for s in spans)} requests failed, error.type on each")
    failed = Counter(s.path for s in spans if s.attrs.get("http.response.status_code", 0) >= 500)
    same_counter("requests that failed", failed, Counter(r["path"] for r in client.values() if r["status"] >= 500 and r["outcome"] == "ok"))
    left = Counter(s.path for s in spans if client.get(s.path, {}).get("outcome") == "abort")
    wanted = Counter(r["path"] for r in client.values() if r["outcome"] == "abort")
    same_counter("requests whose client left", left, wanted)
    aborted = [s for s in spans if client.get(s.path, {}).get("outcome") == "abort"]
    say(all("error.type" in s.attrs and s.status == 2 for s in aborted), f"{len(aborted)} of them are errors: {Counter(s.attrs.get('error.type') for s in aborted)}")


def check_traceparent(args):
    """The caller's context is the server span's parent, and its statements stay in that trace."""
    _, trace, parent, flags = args.traceparent.split("-")
    spans = servers(args)
    say(bool(spans), f"{len(spans)} server spans")
    say(all(s.trace == trace and s.parent == parent for s in spans), "trace and parent are the caller's")
    say(all(s.flags & 0xFF == int(flags, 16) for s in spans), "trace flags are the caller's")
    say(all(s.flags & 0x300 == 0x300 for s in spans), "the parent is marked as remote")
    sql = [s for s in of_service(args, otlp.spans(args.otlp)) if s.is_sql]
    say(bool(sql) and all(s.trace == trace for s in sql), f"{len(sql)} statements in the same trace")


def check_silence(args):
    """Nothing of Sonde's own export traffic is in its output."""
    spans, port = otlp.spans(args.otlp), args.port
    say(bool(of_service(args, spans)), f"{len(of_service(args, spans))} spans of others")
    # By port and process: other instances on this host, and what they export, are to be observed like anything else.
    own = [s for s in spans if s.attrs.get("server.port") == port or s.resource.get("process.pid") in args.pids]
    same("spans of our own traffic", [(s.service, s.name, s.attrs) for s in own][:3], [])
    same("spans of the receiver", [(s.name, s.path) for s in spans if s.service == args.receiver][:3], [])
    counted = [p for p in otlp.points(args.otlp) if p.name in otlp.DURATION.values()]
    own = [p for p in counted if p.attrs.get("server.port") == port or p.service == args.receiver]
    same("histograms of our own traffic", [(p.service, p.name, p.attrs) for p in own][:3], [])


def check_gap(args):
    """After the moment --at (ns since the epoch) a request that began within --within seconds was observed."""
    starts = sorted(s.start for s in servers(args) if s.start >= args.at)
    say(bool(starts) and starts[0] - args.at <= args.within * 1e9,
        f"first request observed {(starts[0] - args.at) / 1e6 if starts else None} ms later, at most {args.within} s")
    rest = [r for r in answered(args) if starts and r["start"] > starts[0] + 1e8]
    have = {s.path for s in servers(args)}
    missing = [r["path"] for r in rest if r["path"] not in have]
    same("requests after that without a span", missing[:5], [])


def check_front(args):
    """A proxy in front: one server span each at proxy and application, the application's below the proxy's."""
    everything = {s.id: s for s in otlp.spans(args.otlp)}
    client = answered(args)
    front = [s for s in everything.values() if s.service == args.front and s.is_server]
    back = [s for s in everything.values() if s.service == args.service and s.is_server]
    paths = Counter(r["path"] for r in client)
    same_counter("server spans of the proxy", Counter(s.path for s in front), paths)
    same_counter("server spans of the application", Counter(s.path for s in back), paths)
    joined, wrong = 0, []
    for s in back:
        above = everything.get(s.parent)
        top = above and everything.get(above.parent)
        good = above and above.kind == otlp.CLIENT and above.service == args.front
        joined += bool(good and top and top.path == s.path and top.trace == s.trace)
        if s.parent and not good or top and top.path != s.path:
            wrong.append((s.path, above and above.name, top and top.path))
    # One thread of nginx has many requests at a time: a link that is not sure is not made, but what is made is right.
    say(not wrong, f"no request is below another one's: {wrong[:3]}")
    say(joined >= args.least, f"joined: {joined} of {len(back)}, at least {args.least}")
    points = [p for p in otlp.points(args.otlp) if p.name == otlp.DURATION["server"]]
    for service in (args.front, args.service):
        same(f"histogram count of {service}", sum(p.count for p in points if p.service == service), len(client))


def check_linked(args):
    """No statement is below a request that did not cause it; so many are below one. The others have no parent at all."""
    everything = {s.id: s for s in otlp.spans(args.otlp)}
    below = [(s, everything.get(s.parent)) for s in of_service(args, everything.values()) if s.is_sql and s.parent]
    wrong = [(s.text[:80], p and p.path) for s, p in below
             if not (p and p.is_server and p.service == s.service and p.trace == s.trace and p.start <= s.start <= s.end <= p.end)]
    say(not wrong, f"below a request that did not cause it: {wrong[:5]}")
    say(len(below) - len(wrong) >= args.least, f"{len(below) - len(wrong)} statements below their requests, at least {args.least}")


def check_https(args):
    """A client's requests over TLS: one span each, by its whole URL, and as many in the histogram."""
    spans = [s for s in of_service(args, otlp.spans(args.otlp)) if s.kind == otlp.CLIENT and "url.full" in s.attrs]
    client = answered(args)
    urls = Counter(re.sub(r"^https://[^/]*", "", s.attrs["url.full"]) for s in spans)
    same_counter("client spans by path", urls, Counter(r["path"] for r in client))
    points = [p for p in of_service(args, otlp.points(args.otlp)) if p.name == otlp.DURATION["client"]]
    same("histogram count", sum(p.count for p in points), len(client))


def shape(directory):
    everything = {s.id: s for s in otlp.spans(directory)}

    def key(s):
        return (s.service, s.kind, s.name, s.start, s.end, s.status, tuple(sorted((k, str(v)) for k, v in s.attrs.items())))

    return Counter((key(s), key(everything[s.parent]) if s.parent in everything else s.parent != "") for s in everything.values())


def check_replay(args):
    """Two exports hold the same spans below the same parents; ids are drawn anew."""
    ours, theirs = shape(args.otlp), shape(args.other)
    say(sum(theirs.values()) > 0, f"{sum(theirs.values())} spans recorded")
    same_counter("spans", ours, theirs)


def check_opened(args):
    """Connections that were opened are as many as the server says (--least), and one pool; each has the --phases, in its time."""
    created = [p for p in otlp.points(args.otlp) if p.name == "db.client.connection.create_time" and p.service == args.service]
    same("connections opened", sum(p.count for p in created if "error.type" not in p.attrs), args.least)
    same("pool", {p.attrs["db.client.connection.pool.name"] for p in created}, {args.database})
    say(all(0 < p.sum < 60 for p in created), f"they took {sum(p.sum for p in created):.4f} s")
    parts = [p for p in otlp.points(args.otlp) if p.name == "sonde.db.client.connection.phase.duration" and p.service == args.service]
    key = "sonde.connection.phase"
    same("phases", {p.attrs[key]: p.count for p in parts}, {name: args.least for name in args.phases.split(",")})
    say(all(p.sum > 0 for p in parts) and sum(p.sum for p in parts) <= sum(p.sum for p in created) + 1e-6,
        "they took " + ", ".join(f"{p.attrs[key]} {p.sum:.4f} s" for p in parts))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    checks = sorted(name[6:].replace("_", "-") for name in globals() if name.startswith("check_"))
    p.add_argument("checks", help="comma-separated: " + " ".join(checks))
    p.add_argument("--otlp", required=True, help="directory of the receiver")
    p.add_argument("--other", help="a second one")
    p.add_argument("--service")
    p.add_argument("--front", help="service of the proxy")
    p.add_argument("--client", nargs="*", default=[], help="what e2e_load.py wrote")
    p.add_argument("--counts", nargs="*", default=[], help="what pg_counts printed")
    p.add_argument("--database")
    p.add_argument("--errors", nargs="*", default=[], metavar="SQLSTATE=N")
    p.add_argument("--least", type=int, default=1)
    p.add_argument("--phases", default="auth", help="of opened connections, comma-separated")
    p.add_argument("--totals", action="store_true", help="the server does not tell the kinds of its statements")
    p.add_argument("--histogram-only", action="store_true", help="spans were dropped; counts must be exact all the same")
    p.add_argument("--tolerance-ms", type=float, default=5)
    p.add_argument("--reason", help="of sonde.events")
    p.add_argument("--drops", help="none, some, or a reason that must have dropped something")
    p.add_argument("--crashed", action="store_true", help="the worker died in between")
    p.add_argument("--summary", help="what `sonde run --format json` printed")
    p.add_argument("--traceparent")
    p.add_argument("--aliases", type=int, default=20, help="SHOP_ALIASES of the service")
    p.add_argument("--port", type=int, help="of the receiver")
    p.add_argument("--receiver", help="service of the receiver")
    p.add_argument("--pids", type=int, nargs="*", default=[], help="processes of Sonde")
    p.add_argument("--at", type=int)
    p.add_argument("--within", type=float, default=1)
    args = p.parse_args()
    for check in args.checks.split(","):
        if check not in checks:
            p.error(f"no check {check}")
        globals()["check_" + check.replace("-", "_")](args)
    if FAILED:
        print(f"{args.checks}: {len(FAILED)} failed", file=sys.stderr)
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
