# SPDX-License-Identifier: Apache-2.0
"""Traffic as no library makes it: odd_client.py PORT NAME. Writes what was asked: {path: how often}."""
import json
import socket
import struct
import sys
import time

PORT, NAME = int(sys.argv[1]), sys.argv[2]
ASKED = {}


def connect(buffer=0):
    s = socket.socket()
    if buffer:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    s.settimeout(10)
    s.connect(("127.0.0.1", PORT))
    return s


def head(case, method="GET", fields="", version="1.1", times=1, kind="ok", query=""):
    path = f"/{kind}/odd-{NAME}-{case}"
    ASKED[path] = ASKED.get(path, 0) + times
    return f"{method} {path}{query} HTTP/{version}\r\nHost: a\r\n{fields}\r\n".encode()


def answers(s, n=1, body=20):
    """Reads n answers, each a head and that much of a body."""
    data = b""
    while data.count(b"\r\n\r\n") < n or len(data.rsplit(b"\r\n\r\n", 1)[1]) < body:
        more = s.recv(65536)
        if not more:
            break
        data += more


def once(*parts, pause=0.0):
    with connect() as s:
        for part in parts:
            s.sendall(part)
            time.sleep(pause)
        answers(s)


def requests():
    with connect() as s:
        s.sendall(head("pipelined", times=5) * 5)
        answers(s, 5)
    once(head("old", version="1.0"))
    with connect() as s:
        for _ in range(2):
            s.sendall(head("old-kept", version="1.0", fields="Connection: keep-alive\r\n"))
            answers(s)
    once(head("bare-lf").replace(b"\r\n", b"\n"))
    once(head("long-target", query="?" + "q" * 20000))
    once(head("many-fields", fields="".join(f"x-field-{i}: {i}\r\n" for i in range(90))))
    once(head("long-field", fields="Cookie: " + "c" * 30000 + "\r\n"))
    once(head("upload", "POST", "Content-Length: 10000000\r\n"), *[b"GET / up\r\n" * 10000] * 100)
    once(head("chunks", "POST", "Transfer-Encoding: chunked\r\n"), *[b"400\r\n" + b"GET / H " * 128 + b"\r\n"] * 100, b"0\r\n\r\n")
    once(head("apart", "PUT", "Content-Length: 9\r\n"), b"GET /x HT", pause=0.02)
    for method in ("PATCH", "DELETE", "OPTIONS", "PUT", "POST"):
        once(head(method.lower(), method, "Content-Length: 0\r\n"))
    with connect() as s:
        for _ in range(2):
            s.sendall(head("continue", "POST", "Content-Length: 9\r\nExpect: 100-continue\r\n"))
            s.recv(100)
            s.sendall(b"123456789")
            answers(s)
    with connect() as s:
        s.sendall(head("half-closed"))
        s.shutdown(socket.SHUT_WR)
        answers(s)
    with connect(buffer=4096) as s:
        s.sendall(head("slow-reader", kind="big"))
        answers(s, 1, 300000)
    together = [connect() for _ in range(200)]
    for s in together:
        s.sendall(head("together"))
    for s in together:
        answers(s)
        s.close()


def given_up():
    with connect() as s:
        s.sendall(head("given-up", "POST", "Content-Length: 5000\r\n") + b"x" * 100)
        time.sleep(0.05)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def no_requests():
    for data in (b"\x00\x01\x02no request\r\n\r\n", b"SSH-2.0-OpenSSH_9\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 500,
                 b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", b"GET", b"", b"GET \r\n\r\n"):
        with connect() as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            try:
                s.recv(1000)
            except OSError:
                pass


requests()
given_up()
no_requests()
json.dump(ASKED, sys.stdout)
