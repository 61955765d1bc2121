# SPDX-License-Identifier: Apache-2.0
"""
A server that does what it is asked, and writes down what it was asked: origin.py PORT LOG [CERTIFICATE KEY].

/KIND/ID: the answer of that kind, see answers below. One JSON object a line in LOG: method, path, status (0 = it left without).
"""
import gzip
import http.server
import json
import socket
import ssl
import struct
import sys
import threading
import time

LOG = open(sys.argv[2], "w", buffering=1, encoding="utf-8")
LOCK = threading.Lock()
STATUS = {"redirect": 302, "nocontent": 204, "notmodified": 304, "missing": 404, "fail": 503, "reset": 0, "hangup": 0}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def body(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.rfile.read(size + 2)
            self.rfile.readline()
        elif n := int(self.headers.get("Content-Length", 0)):
            self.rfile.read(n)

    def head(self, status, *fields):
        self.send_response(status)
        for name, value in fields:
            self.send_header(name, value)
        self.end_headers()

    def whole(self, status, body, *fields):
        self.head(status, ("Content-Length", str(len(body))), *fields)
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunks(self, parts, *fields):
        self.head(200, ("Transfer-Encoding", "chunked"), *fields)
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def leave(self, reset):
        self.wfile.flush()
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def answer(self, kind, rest):
        if kind in ("reset", "hangup"):
            self.leave(kind == "reset")
        elif kind == "cut":
            self.head(200, ("Content-Length", "1000"))
            self.wfile.write(b"cut")
            self.leave(False)
        elif kind == "endless":
            self.head(200, ("Connection", "close"))
            self.wfile.write(b"until the end")
            self.leave(False)
        elif kind == "redirect":
            self.whole(302, b"", ("Location", "/ok/" + rest))
        elif kind in ("nocontent", "notmodified"):
            self.head(STATUS[kind])
        elif kind == "chunked":
            self.chunks([b"chunk %d" % i * 50 for i in range(20)])
        elif kind == "gzip":
            self.chunks([gzip.compress(b"text " * 5000)], ("Content-Encoding", "gzip"))
        elif kind == "hints":
            self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n")
            self.whole(200, b"hinted")
        else:
            if kind == "slow":
                time.sleep(1)
            self.whole(STATUS.get(kind, 200), b"x" * (300000 if kind == "big" else 20))

    def serve(self):
        kind, rest = self.path.split("/", 2)[1:]
        try:
            self.body()
            self.answer(kind, rest)
        except (OSError, ValueError):
            self.close_connection = True
        with LOCK:
            LOG.write(json.dumps({"method": self.command, "path": self.path, "kind": kind, "status": STATUS.get(kind, 200),
                                  "port": self.client_address[1]}) + "\n")

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = serve


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *args):
        pass


server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
if len(sys.argv) > 3:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*sys.argv[3:5])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
