# SPDX-License-Identifier: Apache-2.0
"""
A server and a client of PostgreSQL's protocol, with the cancel keys that no release in Debian has yet: of 4 bytes, of 32
(PostgreSQL 18, protocol 3.2) and of 256, which is the most. Each statement is cancelled by a CancelRequest of its own.

    postgres_keys.py PORT FILE   the secrets go to FILE
"""
import os
import pathlib
import random
import socket
import struct
import sys

PROTOCOL, CANCEL = 3 << 16 | 2, 80877102
SIZES = {"short": 4, "of_18": 32, "longest": 256}


def message(kind, body):
    return kind + struct.pack(">I", len(body) + 4) + body


def startup():
    body = struct.pack(">I", PROTOCOL) + b"user\0shop\0database\0keys\0\0"
    return struct.pack(">I", len(body) + 4) + body


def cancel(pid, secret):
    return struct.pack(">III", 12 + len(secret), CANCEL, pid) + secret


def exactly(conn, n):
    data = b""
    while len(data) < n:
        more = conn.recv(n - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def let_in(pid, secret):
    settings = b"".join(message(b"S", k + b"\0" + v + b"\0") for k, v in ((b"server_version", b"18.0"), (b"TimeZone", b"Etc/UTC"),
                                                                    (b"client_encoding", b"UTF8"), (b"DateStyle", b"ISO, MDY")))
    return message(b"R", struct.pack(">I", 0)) + settings + message(b"K", struct.pack(">I", pid) + secret) + message(b"Z", b"I")


def serve(listener, secrets):
    for pid, (name, secret) in enumerate(secrets.items(), 1000):
        conn, _ = listener.accept()
        exactly(conn, struct.unpack(">I", exactly(conn, 4))[0] - 4)
        conn.sendall(let_in(pid, secret))
        exactly(conn, struct.unpack(">xI", exactly(conn, 5))[0] - 4)
        other, _ = listener.accept()
        if exactly(other, 12 + len(secret)) != cancel(pid, secret):
            sys.exit(f"{name}: this is not its key")
        other.close()
        error = b"SERROR\0VERROR\0C57014\0Mcanceling statement due to user request\0\0"
        conn.sendall(message(b"E", error) + message(b"Z", b"I"))
        if exactly(conn, 5)[:1] != b"X":
            sys.exit("not the end")
        conn.close()


def run(port, secrets):
    for pid, (name, secret) in enumerate(secrets.items(), 1000):
        conn = socket.create_connection(("127.0.0.1", port))
        query = message(b"Q", f"SELECT pg_sleep(60) AS {name}\0".encode())
        conn.sendall(startup())
        conn.recv(65536)
        conn.sendall(query)
        other = socket.create_connection(("127.0.0.1", port))
        other.sendall(cancel(pid, secret))
        other.recv(1)
        other.close()
        conn.recv(65536)
        conn.sendall(message(b"X", b""))
        conn.close()


def main(port, path):
    secrets = {name: random.randbytes(size) for name, size in SIZES.items()}
    pathlib.Path(path).write_text("\n".join(s.hex() for s in secrets.values()))
    listener = socket.create_server(("127.0.0.1", int(port)))
    child = os.fork()
    if child == 0:
        serve(listener, secrets)
        os._exit(0)
    listener.close()
    run(int(port), secrets)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(*sys.argv[1:])
