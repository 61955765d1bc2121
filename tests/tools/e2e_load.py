# SPDX-License-Identifier: Apache-2.0
"""
HTTP load that knows what it did: one JSON object per request, written to --out when all are done.

    e2e_load.py --to 127.0.0.1:8000 --requests 500 --conns 4 --mix orders=6,write=2,plain=1 --out client.jsonl
    e2e_load.py --to unix:/run/x.sock --keep-alive --warm 2 --gate /tmp/go ...

Each request carries an id in its path (/orders/r17/). Durations run from the first byte sent to the last byte read.
outcome: ok (a whole answer), abort (we left in the middle of the answer, on purpose), stale (a kept connection turned
out to be closed before any byte of an answer; the request was sent again on a new one), failed.
With --warm, each connection makes that many uncounted requests, then waits for the file --gate to exist.
"""
import argparse
import http.client
import itertools
import json
import os
import random
import socket
import ssl
import struct
import sys
import threading
import time

PAGES = {
    # page: (method, path, body bytes)
    "write": ("POST", "/write/{}/", 3000),
    "head": ("HEAD", "/plain/{}/", None),
    "missing": ("GET", "/missing/{}/", None),
}


IP_LOCAL_PORT_RANGE = 51


class Connection(http.client.HTTPConnection):
    def __init__(self, to, from_port, tls=False):
        self.context = ssl._create_unverified_context() if tls else None
        self.unix = to[5:] if to.startswith("unix:") else None
        host, port = ("localhost", 80) if self.unix else to.rsplit(":", 1)
        super().__init__(host, int(port), timeout=60)
        self.from_port = from_port

    def connect(self):
        if self.from_port:
            # The kernel's own choice of a port, from a range of one: bind() would refuse a port that is in use.
            self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.sock.settimeout(self.timeout)
            self.sock.setsockopt(socket.IPPROTO_IP, IP_LOCAL_PORT_RANGE, struct.pack("HH", self.from_port, self.from_port))
            return self.sock.connect((self.host, self.port))
        if not self.unix:
            super().connect()
            if self.context:
                self.sock = self.context.wrap_socket(self.sock)
            return None
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.unix)


def now():
    return time.time_ns(), time.perf_counter_ns()


class Client:
    """One connection's worth of requests, in a thread of its own."""

    def __init__(self, args, ids, rng):
        self.args, self.ids, self.rng = args, ids, rng
        self.connection, self.fresh, self.records = None, True, []
        self.pages = [page for page, n in args.mix for _ in range(n)]

    def open(self):
        if self.connection is None:
            self.connection, self.fresh = Connection(self.args.to, self.args.from_port, self.args.tls), True
            self.connection.connect()

    def close(self, reset=False):
        if self.connection is None:
            return
        if reset and self.connection.sock:
            self.connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.connection = None

    def headers(self):
        headers = {"Connection": "keep-alive" if self.args.keep_alive else "close"}
        if self.args.traceparent:
            headers["traceparent"] = self.args.traceparent
        return headers

    def once(self, page, rid):
        method, path, size = PAGES.get(page, ("GET", f"/{page}/{{}}/", None))
        path = path.format(rid) + self.args.query
        record = {"id": rid, "page": page, "method": method, "path": path.split("?")[0], "status": 0, "outcome": "failed"}
        answer = None
        try:
            self.open()
            record["start"], began = now()
            self.connection.request(method, path, body=None if size is None else b"b" * size, headers=self.headers())
            answer = self.connection.getresponse()
            record["first_ns"] = time.perf_counter_ns() - began
            record["status"] = answer.status
            if page == self.args.abort:
                answer.read(65536)
                record["ns"] = time.perf_counter_ns() - began
                self.close(reset=self.rng.random() < 0.5)
                record["outcome"] = "abort"
                return record
            body = answer.read()
            record["ns"], record["bytes"], record["outcome"] = time.perf_counter_ns() - began, len(body), "ok"
            if self.args.bodies:
                record["head"] = body[:40].split(b"\n")[0].decode("latin-1")
            if answer.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as error:
            reused = not self.fresh and answer is None
            record["outcome"] = "stale" if reused else "failed"
            record["error"] = repr(error)
            self.close()
        self.fresh = False
        return record

    def request(self, counted=True):
        page, rid = self.rng.choice(self.pages), f"r{next(self.ids)}"
        for _ in range(4):
            record = self.once(page, rid)
            if counted:
                self.records.append(record)
            if record["outcome"] != "stale":
                return

    def run(self, left, ready):
        if self.args.warm:
            for _ in range(self.args.warm):
                self.request(counted=False)
            ready.release()
            while not os.path.exists(self.args.gate):
                time.sleep(0.02)
        end = time.monotonic() + self.args.seconds if self.args.seconds else None
        pause = len(self.args.clients) / self.args.rate if self.args.rate else 0
        for _ in left:
            if end and time.monotonic() > end:
                break
            self.request()
            if pause:
                time.sleep(pause * 2 * self.rng.random())
        self.close()


def options():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--to", required=True)
    p.add_argument("--requests", type=int, default=100)
    p.add_argument("--seconds", type=float, help="stop after this time, even when requests are left")
    p.add_argument("--rate", type=float, default=0, help="requests per second, about; 0 = as fast as it goes")
    p.add_argument("--conns", type=int, default=4)
    p.add_argument("--tls", action="store_true", help="https; any certificate will do")
    p.add_argument("--keep-alive", action="store_true")
    p.add_argument("--mix", default="plain=1")
    p.add_argument("--query", default="")
    p.add_argument("--from-port", type=int, help="local port, also one that has other connections (kernel 6.3)")
    p.add_argument("--abort", help="page whose answers are left in the middle")
    p.add_argument("--traceparent")
    p.add_argument("--first", type=int, default=1, help="first id")
    p.add_argument("--warm", type=int, default=0)
    p.add_argument("--gate")
    p.add_argument("--ready", help="file to make when all connections are warm")
    p.add_argument("--bodies", action="store_true", help="keep the first line of each answer")
    p.add_argument("--out", required=True)
    args = p.parse_args()
    args.mix = [(m.split("=")[0], int(m.split("=")[1])) for m in args.mix.split(",")]
    return args


def main():
    args = options()
    ids, left, ready = itertools.count(args.first), iter(range(args.requests)), threading.Semaphore(0)
    args.clients = [Client(args, ids, random.Random(n)) for n in range(args.conns)]
    threads = [threading.Thread(target=c.run, args=(left, ready), daemon=True) for c in args.clients]
    for thread in threads:
        thread.start()
    if args.warm:
        for _ in threads:
            ready.acquire()
        if args.ready:
            open(args.ready, "w").close()
    for thread in threads:
        thread.join()
    records = [r for c in args.clients for r in c.records]
    with open(args.out + ".new", "w") as out:
        out.writelines(json.dumps(r) + "\n" for r in sorted(records, key=lambda r: r.get("start", 0)))
    os.rename(args.out + ".new", args.out)
    failed = [r for r in records if r["outcome"] == "failed"]
    print(f"{len(records)} requests, {len(failed)} failed, {sum(r['outcome'] == 'stale' for r in records)} stale")
    for r in failed[:5]:
        print(r, file=sys.stderr)
    return 0 if records and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
