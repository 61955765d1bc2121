# SPDX-License-Identifier: Apache-2.0
"""
A small OTLP/HTTP receiver: keeps every body, unzipped, as <seq>-<signal>.bin in a directory, and answers as it is told.

It prints the port it listens on, and nothing else, on standard output. --status and what it can be told while it runs
(POST /tell?status=503&times=2&retry_after=1&delay=0.5&reject=3) make it a bad receiver: bodies that it does not answer
with 2xx are kept too, as <seq>-<signal>.<status>. GET /count answers how many bodies it has kept.
"""
import argparse
import gzip
import http.server
import os
import pathlib
import sys
import threading
import time
import urllib.parse

SIGNALS = {"/v1/traces": "traces", "/v1/metrics": "metrics", "/v1/logs": "logs"}


def partial_success(rejected):
    """Export*ServiceResponse{partial_success{rejected_*: n, error_message}}, encoded by hand: no library is needed."""
    number = b""
    while rejected > 0x7F:
        number += bytes([rejected & 0x7F | 0x80])
        rejected >>= 7
    message = b"told to reject"
    inner = b"\x08" + number + bytes([rejected]) + b"\x12" + bytes([len(message)]) + message
    return b"\x0a" + bytes([len(inner)]) + inner


class State:
    def __init__(self, directory, status):
        self.lock = threading.Lock()
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.seq = len(list(self.directory.iterdir()))
        self.orders = {"status": status, "times": -1, "retry_after": "", "delay": 0.0, "reject": 0}

    def tell(self, query):
        with self.lock:
            self.orders = {"status": 200, "times": -1, "retry_after": "", "delay": 0.0, "reject": 0}
            for key, (value, *_) in query.items():
                self.orders[key] = type(self.orders[key])(value)

    def next_order(self):
        with self.lock:
            order = dict(self.orders)
            if order["times"] == 0:
                return {"status": 200, "retry_after": "", "delay": 0.0, "reject": 0}
            if order["times"] > 0:
                self.orders["times"] -= 1
            return order

    def keep(self, signal, body, status):
        with self.lock:
            self.seq += 1
            name = f"{self.seq:06d}-{signal}." + ("bin" if 200 <= status <= 299 else str(status))
            part = self.directory / f".{name}"
            part.write_bytes(body)
            os.rename(part, self.directory / name)

    def count(self):
        with self.lock:
            return self.seq


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state = None

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", content_type="application/x-protobuf", retry_after=""):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if retry_after:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer(200, str(self.state.count()).encode(), "text/plain")

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/tell":
            self.state.tell(urllib.parse.parse_qs(url.query))
            return self.answer(200)
        signal = SIGNALS.get(url.path)
        if not signal:
            return self.answer(404)
        if self.headers.get("Content-Type") != "application/x-protobuf":
            return self.answer(415)
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        order = self.state.next_order()
        if order["delay"]:
            time.sleep(order["delay"])
        self.state.keep(signal, body, order["status"])
        reply = partial_success(order["reject"]) if order["reject"] else b""
        return self.answer(order["status"], reply, retry_after=order["retry_after"])


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a sender that goes away is its own business


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dir", required=True)
    parser.add_argument("--port", type=int, default=4318, help="0: any free one")
    parser.add_argument("--status", type=int, default=200)
    args = parser.parse_args()
    Handler.state = State(args.dir, args.status)
    server = Server(("127.0.0.1", args.port), Handler)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        sys.exit(0)


if __name__ == "__main__":
    main()
