# SPDX-License-Identifier: Apache-2.0
"""
HTTP/1.1 on raw sockets, with counts of its own: pipelines.py serve PORT, or pipelines.py ask PORT NAME WHAT.

ask writes {path: how often it was asked and answered} when every answer was as it must be (RFC 9112). A path is
/KIND/NAME-CASE: KIND says how the server answers. WHAT: all; real, of a server of somebody else's, which answers all alike;
alone, of one that does not wait for a second request.
"""
import json
import socket
import struct
import sys
import threading
import time

BODY = b"twenty bytes of body"
KNOWN = {}


class Reader:
    """Messages out of a socket, whatever cuts them."""

    def __init__(self, s):
        self.s, self.data = s, b""

    def more(self):
        got = self.s.recv(1 << 18)
        self.data += got
        return bool(got)

    def until(self, end):
        while end not in self.data:
            if not self.more():
                return None
        head, self.data = self.data.split(end, 1)
        return head

    def take(self, n):
        while len(self.data) < n:
            if not self.more():
                raise EOFError
        body, self.data = self.data[:n], self.data[n:]
        return body

    def head(self):
        """First line and fields; line ends may be of LF alone, empty lines may come before (RFC 9112 section 2.2)."""
        while True:
            self.data = self.data.lstrip(b"\r\n")
            plain = self.data.replace(b"\r\n", b"\n")
            if b"\n\n" in plain:
                break
            if not self.more():
                return None, {}
        end = b"\r\n\r\n" if b"\r\n" in self.data.split(b"\n\n")[0] else b"\n\n"
        lines = self.until(end).replace(b"\r\n", b"\n").decode().split("\n")
        return lines[0].split(" ", 2), {k.lower(): v.strip() for k, v in (line.split(":", 1) for line in lines[1:])}

    def chunks(self):
        body = b""
        while size := int(self.until(b"\r\n").split(b";")[0], 16):
            body += self.take(size + 2)[:-2]
        while self.until(b"\r\n"):
            pass
        return body

    def body(self, fields):
        if fields.get("transfer-encoding") == "chunked":
            return self.chunks()
        return self.take(int(fields.get("content-length", 0)))


def answer_of(kind, method):
    ok = b"HTTP/1.1 200 OK\r\nServer: raw\r\nContent-Length: 20\r\n\r\n"
    if kind == "chunked":
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\ntwent\r\nf;x=y\r\ny bytes of body\r\n0\r\nX-Sum: 1\r\n\r\n"
    if kind == "empty":
        return b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"
    if kind == "notmodified":
        return b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\n\r\n"
    if kind == "endless":
        return b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + BODY
    if kind == "hints":
        return b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok + BODY
    if kind == "upgrade":
        return b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    if kind == "tunnel":
        return b"HTTP/1.1 200 OK\r\n\r\n"
    if kind == "large":
        return b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + b"HTTP/1.1 200 OK\r\n" * 17647 + b"."
    return ok if method == "HEAD" else ok + BODY


def send(s, kind, data):
    if kind.startswith("cut"):  # cutN: in two sends, the first of N bytes
        n = int(kind[3:])
        s.sendall(data[:n])
        time.sleep(0.002)
        s.sendall(data[n:])
    elif kind == "drip":
        for b in data:
            s.sendall(bytes([b]))
    elif kind == "events":
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(20):
            s.sendall(b"8\r\ndata: %d\n\r\n" % (i % 10))
            time.sleep(0.05)
        s.sendall(b"0\r\n\r\n")
    else:
        s.sendall(data)


def converse(s):
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    r, batch = Reader(s), b""
    while True:
        line, fields = r.head()
        if not line:
            return
        kind = "tunnel" if line[0] == "CONNECT" else line[1].removeprefix("http://a").split("/")[1]
        if fields.get("expect"):
            s.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if kind == "early":
            s.sendall(answer_of(kind, line[0]))
        r.body(fields)
        if kind == "early":
            continue
        if kind == "late":
            time.sleep(0.05)
        if kind == "batch":  # answers all that came with one send
            batch += answer_of(kind, line[0])
            if not r.data:
                s.sendall(batch)
                batch = b""
            continue
        send(s, kind, answer_of(kind, line[0]))
        if kind in ("upgrade", "tunnel"):
            while got := s.recv(4096):
                s.sendall(got)
            return
        if kind == "endless" or (line[2] == "HTTP/1.0" and fields.get("connection") != "keep-alive"):
            return


def serve(port):
    def one(s):
        with s:
            try:
                converse(s)
            except (OSError, EOFError, ValueError):
                pass

    listening = socket.create_server(("127.0.0.1", port), backlog=64)
    while True:
        threading.Thread(target=one, args=(listening.accept()[0],), daemon=True).start()


def connect():
    s = socket.create_connection(("127.0.0.1", PORT), timeout=20)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def ask(case, kind="ok", method="GET", fields="", body=b"", version="1.1", target="", times=1):
    path = f"/{kind}/{NAME}-{case}"
    KNOWN[path] = KNOWN.get(path, 0) + times
    return f"{method} {target or path} HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode() + body


def post(case, kind="ok", n=100, times=1):
    """A body that looks like what it is not; but not for a server that answers before it has come (nginx)."""
    like = b"name=value&more=is" if REAL else b"GET / HTTP/1.1\r\n\r\n"
    return ask(case, kind, "POST", f"Content-Length: {n}\r\n", (like * (n // 18 + 1))[:n], times=times)


def chunked(case, kind="ok", times=1):
    body = b"8;e=1\r\nGET /x H\r\n1f\r\n" + b"P" * 31 + b"\r\n0\r\nX-Trailer: GET / HTTP/1.1\r\n\r\n"
    return ask(case, kind, "POST", "Transfer-Encoding: chunked\r\n", body, times=times)


def answer(r, method="GET", interim=()):
    """Reads one and looks at it."""
    line, fields = r.head()
    while line and line[1][0] == "1" and line[1] != "101":
        line, fields = r.head()
    assert line, "no answer"
    status = int(line[1])
    if method == "HEAD" or status in (101, 204, 304):
        return status
    if "transfer-encoding" in fields:
        r.chunks()
    elif "content-length" in fields:
        r.take(int(fields["content-length"]))
    else:
        while r.more():
            pass
        r.data = b""
    return status


def exchange(parts, methods, pause=0.0, wait=None):
    """Sends the parts, pausing between them, then reads an answer for each method."""
    with connect() as s:
        r = Reader(s)
        for i, part in enumerate(parts):
            s.sendall(part)
            if pause and i + 1 < len(parts):
                time.sleep(pause)
        for method in methods:
            answer(r, method)
        assert not r.data, r.data[:100]


def in_one_send():
    for kind in ("ok", "late", "batch"):
        exchange([ask(f"get-{kind}", kind, times=4) * 4], ["GET"] * 4)
        exchange([post(f"post-{kind}", kind, times=4) * 4], ["POST"] * 4)
        exchange([post(f"post-long-{kind}", kind, 3000, times=4) * 4], ["POST"] * 4)
        exchange([chunked(f"chunked-{kind}", kind, times=4) * 4], ["POST"] * 4)
    exchange([ask("head-get", method="HEAD") + ask("head-get") + ask("head-get", method="HEAD") + ask("head-get")], ["HEAD", "GET"] * 2)
    exchange([post("mixed") + ask("mixed") + chunked("mixed") + ask("mixed", "empty") + ask("mixed", "notmodified") + ask("mixed", "chunked")],
             ["POST", "GET", "POST", "GET", "GET", "GET"])
    if not REAL:
        exchange([ask("lf", times=3).replace(b"\r\n", b"\n") * 3], ["GET"] * 3)
        exchange([(post("empty-lines", times=3) + b"\r\n") * 3], ["POST"] * 3)
    exchange([ask("deep", times=100) * 100], ["GET"] * 100)
    exchange([ask("endless-last", times=2) * 2 + ask("endless-last", "endless")], ["GET"] * 3)
    exchange([ask("large", "large", times=3) * 3], ["GET"] * 3)


def in_several():
    for kind in ("ok", "late"):
        exchange([ask(f"apart-get-{kind}", kind, times=5)] * 5, ["GET"] * 5, 0.005)
        exchange([post(f"apart-post-{kind}", kind, times=5)] * 5, ["POST"] * 5, 0.005)
        exchange([chunked(f"apart-chunked-{kind}", kind, times=5)] * 5, ["POST"] * 5, 0.005)
        one = post(f"askew-{kind}", kind, times=5) * 5  # cut anywhere but between requests
        exchange([one[i:i + 67] for i in range(0, len(one), 67)], ["POST"] * 5, 0.001)
    head, body = post("in-two").split(b"\r\n\r\n", 1)
    with connect() as s:
        r = Reader(s)
        for _ in range(4):
            s.sendall(head + b"\r\n\r\n")
            s.sendall(body)
            answer(r)
        KNOWN[f"/ok/{NAME}-in-two"] = 4
        for _ in range(3):  # then it begins not to wait
            s.sendall(post("begins-late", times=3) * 3)
            for _ in range(3):
                answer(r)
    for n in (*range(8), 600, 2000):  # where the head's end is in a word of memory, and a short line before it
        with connect() as s:
            r = Reader(s)
            for times in (1, 1, 3):
                s.sendall(ask(f"begins-late-{n}", fields=f"X: {'x' * n}\r\nA: 1\r\n", times=times) * times)
                for _ in range(times):
                    answer(r)


def window():
    """Keeps four requests under way."""
    for make, case in ((ask, "window-get"), (post, "window-post")):
        with connect() as s:
            r = Reader(s)
            s.sendall(make(case, times=4) * 4)
            for _ in range(36):
                answer(r)
                s.sendall(make(case))
            for _ in range(4):
                answer(r)


def trickling():
    for method in ("GET", "POST", "DELETE", "PROPFIND"):
        one = ask("trickle", method=method, fields="Content-Length: 3\r\n" if method == "POST" else "", body=b"abc" if method == "POST" else b"")
        with connect() as s:
            r = Reader(s)
            for i in range(1 if ALONE else 2):  # on a new connection, and on a kept one
                for b in one:
                    s.sendall(bytes([b]))
                    time.sleep(0.0002)
                answer(r)
                KNOWN[f"/ok/{NAME}-trickle"] += i
    for n in range(1, 12):
        one = ask("cut-early")
        exchange([one[:n], one[n:]], ["GET"], 0.003)


def answers_cut():
    with connect() as s:
        r = Reader(s)
        for n in list(range(1, 75)):
            s.sendall(ask("cuts", f"cut{n}"))
            answer(r)
    exchange([ask("drips", "drip", times=2) * 2], ["GET"] * 2)
    exchange([ask("drip", "drip")], ["GET"])
    exchange([ask("events", "events")], ["GET"])


def odd_heads():
    exchange([ask("long-head", fields="X-Long: " + "x" * 9000 + "\r\n")], ["GET"])
    exchange([ask("long-heads", fields="X-Long: " + "x" * 3000 + "\r\n", times=3) * 3], ["GET"] * 3)
    exchange([ask("absolute", target=f"http://a/ok/{NAME}-absolute")], ["GET"])
    for method in ("PURGE", "PROPFIND", "REPORT", "M-SEARCH", "MKCALENDAR", "LOCK", "PATCH", "TRACE", "OPTIONS", "DELETE"):
        exchange([ask("methods", method=method)], [method])
    with connect() as s:
        r = Reader(s)
        for method in ("GET", "PURGE", "GET", "MKREDIRECTREF", "UNSUBSCRIBE"):
            s.sendall(ask("methods-kept", method=method))
            answer(r)
        for empty in (b"\r\n", b"\n", b"\r\n\r\n"):
            s.sendall(empty + ask("empty-line-first"))
            answer(r)
        for _ in range(2):
            s.sendall(post("empty-line-behind"))
            s.sendall(b"\r\n")
            answer(r)
    with connect() as s:
        r = Reader(s)
        for _ in range(3):
            s.sendall(ask("old-kept", version="1.0", fields="Connection: keep-alive\r\n"))
            answer(r)
    exchange([ask("old", version="1.0")], ["GET"])
    exchange([ask("lf-alone").replace(b"\r\n", b"\n")], ["GET"])


def interim():
    with connect() as s:
        r = Reader(s)
        for _ in range(2):
            s.sendall(ask("expects", method="POST", fields="Content-Length: 20\r\nExpect: 100-continue\r\n"))
            line, _ = r.head()
            assert line[1] == "100"
            s.sendall(b"GET / HTTP/1.1\r\n\r\n..")
            answer(r)
    exchange([ask("hints", "hints", times=2) * 2], ["GET"] * 2)
    exchange([ask("hint", "hints")], ["GET"])


def early():
    """Answers that come before the body, which then comes with the next request, in one send; or in two."""
    for case, fields, body in (("length", "Content-Length: 40\r\n", b"b" * 40), ("long", "Content-Length: 3000\r\n", b"b" * 3000),
                               ("json", "Content-Length: 20\r\n", b'{"GET": "/ HTTP/1."}'),
                               ("chunks", "Transfer-Encoding: chunked\r\n", b"28\r\n" + b"b" * 40 + b"\r\n0\r\n\r\n")):
        for before in 0, 18:
            for at_once in True, False:
                with connect() as s:
                    r = Reader(s)
                    for _ in range(4):
                        s.sendall(ask(f"early-{case}-{before}", "early", "POST", fields) + body[:before])
                        answer(r)
                        rest, then = body[before:], ask(f"early-{case}-{before}-then")
                        for part in [rest + then] if at_once else [rest, then]:
                            s.sendall(part)
                        answer(r)


def ends():
    exchange([ask("endless", "endless")], ["GET"])
    with connect() as s:
        s.sendall(ask("half-closed", "late"))
        s.shutdown(socket.SHUT_WR)
        answer(Reader(s))
    with connect() as s:
        s.sendall(ask("half-closed-two", "late", times=2) * 2)
        s.shutdown(socket.SHUT_WR)
        r = Reader(s)
        answer(r)
        answer(r)
    with connect() as s:
        s.sendall(ask("websocket", "upgrade", fields="Connection: Upgrade\r\nUpgrade: websocket\r\n"))
        r = Reader(s)
        answer(r)
        for _ in range(5):
            s.sendall(b"GET / HTTP/1.1\r\n\r\n")
            r.take(18)


def sockets(remote=None):
    """Of the server, as the kernel lists them: inode and unread bytes; of those that are not over."""
    with open("/proc/net/tcp", encoding="utf-8") as file:
        rows = [line.split() for line in list(file)[1:]]
    return [(int(r[9]), int(r[4].split(":")[1], 16)) for r in rows
            if r[1].endswith(f":{PORT:04X}") and r[3] in ("01", "08") and remote in (None, int(r[2].split(":")[1], 16))]


def wait_until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def leave(reset, *parts):
    """Goes away when the server has read it all, by FIN or by RST."""
    with connect() as s:
        for part in parts:
            s.sendall(part)
        wait_until(lambda: [inode > 0 and not unread for inode, unread in sockets(s.getsockname()[1])] == [True])
        if reset:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def leaving():
    for reset in (False, True):
        how = "reset" if reset else "fin"
        for _ in range(3):
            leave(reset, ask(f"left-waiting-{how}", "late"))
            leave(reset, ask(f"left-two-{how}", "late", times=2) * 2)
            leave(reset, ask(f"left-body-{how}", method="POST", fields="Content-Length: 5000\r\n", body=b"x" * 100))
            leave(reset, post(f"left-body-two-{how}", "late"), ask(f"left-body-{how}", method="POST", fields="Content-Length: 5000\r\n"))
    wait_until(lambda: not sockets())


CASES = {
    "all": (in_one_send, in_several, window, trickling, answers_cut, odd_heads, interim, early, ends, leaving),
    "real": (in_one_send, in_several, window, trickling),
    "alone": (trickling,),
}

if sys.argv[1] == "serve":
    serve(int(sys.argv[2]))
PORT, NAME, REAL, ALONE = int(sys.argv[2]), sys.argv[3], sys.argv[4] != "all", sys.argv[4] == "alone"
for run in CASES[sys.argv[4]]:
    run()
json.dump(KNOWN, sys.stdout)
