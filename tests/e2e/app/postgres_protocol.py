# SPDX-License-Identifier: Apache-2.0
"""
Everything about a PostgreSQL connection but its statements: opening it and failing to, being idle or in use, cancelling,
and statements of a mebibyte. Usage: postgres_protocol.py URL PORT DIRECTORY

PORT is the server's: it is also reached through a relay that goes away, after which connections are refused; 0: not.

Writes DIRECTORY/held when its connections stand as it wants them, waits for DIRECTORY/go, and leaves what it saw itself
in DIRECTORY/facts.json.
"""
import json
import pathlib
import socket
import struct
import subprocess
import sys
import threading
import time

import psycopg
import psycopg2

URL, PORT, DIRECTORY = sys.argv[1], int(sys.argv[2]), pathlib.Path(sys.argv[3])
IDLE, IN_TRANSACTION, FAILED_TRANSACTION = 4, 2, 1
MEBIBYTE = 1 << 20
facts = {"opened": 0, "connect_s": 0.0, "failed": {}, "cancelled": 0, "large": {}}


def connect(driver=psycopg2, url=URL, **more):
    begin = time.monotonic()
    connection = driver.connect(url, application_name="pool one", **more)
    facts["connect_s"] += time.monotonic() - begin
    facts["opened"] += 1
    return connection


def fails(code, url, n, **more):
    for _ in range(n):
        try:
            psycopg2.connect(url, **more).close()
            raise SystemExit(f"{code}: the connection was opened")
        except psycopg2.OperationalError:
            facts["failed"][code] = facts["failed"].get(code, 0) + 1


def run(connection, text, parameters=None):
    cursor = connection.cursor()
    cursor.execute(text, parameters)
    return cursor.fetchall()


RELAY = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
near, far = listener.accept()[0], socket.create_connection(("127.0.0.1", int(sys.argv[1])))
def copy(a, b):
    while data := a.recv(65536):
        b.sendall(data)
    b.shutdown(socket.SHUT_WR)
threading.Thread(target=copy, args=(far, near)).start()
copy(near, far)
"""


def refused():
    """A port that a database was seen behind, and where nobody listens any more."""
    relay = subprocess.Popen([sys.executable, "-c", RELAY, str(PORT)], stdout=subprocess.PIPE, text=True,
                             env={"OTEL_SERVICE_NAME": "relay"})
    port = int(relay.stdout.readline())
    relayed = connect(port=port)
    run(relayed, "SELECT 'relayed'")
    relayed.close()
    relay.wait()
    fails("connection_refused", URL, 2, port=port)


def hold():
    """Connections in each state; returned so that they stay."""
    held = []
    for i in range(IDLE + IN_TRANSACTION + FAILED_TRANSACTION):
        connection = connect()
        held.append(connection)
        run(connection, "SELECT 'idle or in transaction'")
        if i < IDLE:
            connection.commit()
        elif i >= IDLE + IN_TRANSACTION:
            try:
                run(connection, "SELECT 1 / 0")
            except psycopg2.Error:
                pass
    return held


def sleeper(connection):
    try:
        run(connection, "SELECT pg_sleep(120)")
        raise SystemExit("pg_sleep came to its end")
    except psycopg2.extensions.QueryCanceledError:
        facts["cancelled"] += 1


def mebibyte(mode, value):
    """A statement of that size: the server cuts the names of its columns, but all of them go over the wire."""
    column = f'{value} AS "{mode} {"é" * 325}"'
    text = "SELECT " + ", ".join([column] * (MEBIBYTE // len(column.encode())))
    facts["large"][mode] = len(text.encode())
    return text


def large():
    quiet = "-c client_min_messages=error"  # else the server tells of each name that it cuts
    plain = connect(options=quiet)
    plain.autocommit = True
    for mode in "simple", "streaming":  # the first makes the connection stream
        run(plain, mebibyte(mode, "1"))
    plain.close()
    bound = connect(psycopg, options=quiet)
    bound.autocommit = True
    run(bound, "SELECT %s, " + mebibyte("extended", "1")[len("SELECT "):], ("parameter",))
    bound.close()


def rows():
    connection = connect()
    run(connection, "SELECT 'late', pg_sleep(0.2)")
    run(connection, "SELECT i, repeat('x', 100), CASE WHEN i = 5000 THEN pg_sleep(0.4) END FROM generate_series(1, 5000) early(i)")
    run(connection, "SELECT 'none' WHERE false")
    connection.close()


def message(body, kind=b""):
    return kind + struct.pack("!I", len(body) + 4) + body


def secret():
    """By hand: what a connection is cancelled with, and that it is not kept by anybody else."""
    begin = time.monotonic()
    with socket.create_connection(("127.0.0.1", PORT)) as s, s.makefile("rb") as answers:
        database = URL.split("/")[-1].split("?")[0].encode()
        s.sendall(message(struct.pack("!I", 3 << 16) + b"user\0shop\0database\0" + database + b"\0application_name\0pool one\0\0"))
        kind = b""
        while kind != b"Z":
            kind, length = answers.read(1), struct.unpack("!I", answers.read(4))[0]
            body = answers.read(length - 4)
            if kind == b"K":
                key = body
        facts["connect_s"] += time.monotonic() - begin
        facts["opened"] += 1
        facts["backend"], facts["secret"] = struct.unpack("!I", key[:4])[0], key[4:].hex()
        s.sendall(message(b"SELECT 'by hand', pg_sleep(60)\0", b"Q"))
        with socket.create_connection(("127.0.0.1", PORT)) as other:
            time.sleep(0.2)
            other.sendall(message(struct.pack("!I", 80877102) + key))
            other.recv(1)
        while answers.read(1) != b"E":
            pass
        facts["cancelled_by_hand"] = 1


def main():
    fails("28P01", URL, 3, user="secret", password="wrong")
    fails("53300", URL, 2, user="crowd")
    fails("3D000", URL, 1, dbname="no_such_database")
    if PORT:
        refused()
        secret()
    held = hold()
    busy = connect()
    thread = threading.Thread(target=sleeper, args=(busy,))
    thread.start()
    (DIRECTORY / "held").touch()
    while not (DIRECTORY / "go").exists():
        time.sleep(0.02)
    busy.cancel()
    thread.join()
    busy.rollback()
    run(busy, "SELECT 'after the cancel'")
    for connection in held + [busy]:
        connection.close()
    rows()
    large()
    (DIRECTORY / "facts.json").write_text(json.dumps(facts))


main()
