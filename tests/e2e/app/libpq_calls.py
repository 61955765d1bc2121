# SPDX-License-Identifier: Apache-2.0
"""
libpq by its own functions, with whichever library is named: what drivers do not call, or do not call everywhere.

    libpq_calls.py LIBRARY CONNINFO ROUNDS [hang]

A JSON line on stdout says what was done, for the check. Functions that the library does not have are left out.
"""
import ctypes
import json
import os
import select
import sys
import threading
import time

POLLING_FAILED, POLLING_READING, POLLING_WRITING, POLLING_OK = range(4)
COMMAND_OK, TUPLES_OK, COPY_OUT, COPY_IN, FATAL_ERROR, PIPELINE_SYNC = 1, 2, 3, 4, 7, 10
POINTERS = ("PQconnectdb PQconnectStart PQconnectStartParams PQexec PQexecParams PQprepare PQexecPrepared PQgetResult "
            "PQgetCancel PQcancelCreate PQfn PQclosePrepared PQsetdbLogin").split()
did = {"copy_bytes": 0, "copies": 0, "cancels": 0, "functions": 0, "connects": 0, "failed_connects": 0, "aliases": {}}


def load(path):
    lib = ctypes.CDLL(path)
    for name in POINTERS:
        if hasattr(lib, name):
            getattr(lib, name).restype = ctypes.c_void_p
    lib.PQerrorMessage.restype = ctypes.c_char_p
    return lib


pq = load(sys.argv[1])
conninfo = sys.argv[2].encode()


def P(x):
    return ctypes.c_void_p(x)


def strings(values):
    return (ctypes.c_char_p * (len(values) + 1))(*[v.encode() for v in values], None)


def fail(conn, what):
    sys.exit(f"{what}: {pq.PQerrorMessage(P(conn)).decode()}")


def ran(text):
    """Counts statements by what they call their column."""
    if " AS " in text:
        alias = text.split(" AS ")[1].split()[0]
        did["aliases"][alias] = did["aliases"].get(alias, 0) + 1


def result(conn, r, status, what):
    if pq.PQresultStatus(P(r)) != status:
        fail(conn, what)
    pq.PQclear(P(r))


def run(conn, text, status=TUPLES_OK):
    ran(text)
    result(conn, pq.PQexec(P(conn), text.encode()), status, text)


def results(conn):
    n = 0
    while r := pq.PQgetResult(P(conn)):
        n += 1
        last = pq.PQresultStatus(P(r))
        pq.PQclear(P(r))
    return n, last


def poll(conn, function):
    """As the documentation of PQconnectPoll has it. True when connected."""
    state = POLLING_WRITING
    while state in (POLLING_READING, POLLING_WRITING):
        fd = pq.PQsocket(P(conn))
        select.select([fd] if state == POLLING_READING else [], [fd] if state == POLLING_WRITING else [], [], 10)
        state = function(P(conn))
    return state == POLLING_OK


def connect(how):
    """The connection, or None when it failed."""
    did["connects"] += 1
    if how == "blocking":
        conn = pq.PQconnectdb(conninfo)
        if pq.PQstatus(P(conn)) != 0:
            fail(conn, "PQconnectdb")
        return conn
    if how == "login":  # as Perl's Pg and PHP's pg_connect(host, port, ...) do; what it has no place for comes from the environment
        to = dict(pair.split("=") for pair in conninfo.decode().split())
        os.environ.update(PGSSLMODE=to["sslmode"], PGGSSENCMODE=to["gssencmode"])
        conn = pq.PQsetdbLogin(*(to[k].encode() for k in ("host", "port")), None, None, *(to[k].encode() for k in ("dbname", "user")), None)
        if pq.PQstatus(P(conn)) != 0:
            fail(conn, "PQsetdbLogin")
        return conn
    if how == "params":
        pairs = [pair.split("=") for pair in conninfo.decode().split()]
        conn = pq.PQconnectStartParams(strings([k for k, v in pairs]), strings([v for k, v in pairs]), 0)
    else:
        conn = pq.PQconnectStart(conninfo)
    if not poll(conn, pq.PQconnectPoll):
        fail(conn, "PQconnectPoll")
    return conn


def connect_in_vain():
    nowhere = conninfo + b" port=1 connect_timeout=2"
    conn = pq.PQconnectdb(nowhere)
    pq.PQfinish(P(conn))
    conn = pq.PQconnectStart(nowhere)
    if pq.PQstatus(P(conn)) != 1 and poll(conn, pq.PQconnectPoll):
        sys.exit("connected to nowhere")
    pq.PQfinish(P(conn))
    conn = pq.PQsetdbLogin(b"127.0.0.1", b"1", None, None, None, b"shop", None)
    pq.PQfinish(P(conn))
    conn = pq.PQconnectdb(b"nonsense=1")
    pq.PQfinish(P(conn))
    conn = pq.PQconnectStart(conninfo)  # and given up
    pq.PQfinish(P(conn))
    did["failed_connects"] += 5


def rows(conn):
    for n in (0, 1, 20):
        text = f"SELECT n AS single FROM generate_series(1, {n}) n"
        ran(text)
        if not pq.PQsendQuery(P(conn), text.encode()) or not pq.PQsetSingleRowMode(P(conn)):
            fail(conn, "PQsetSingleRowMode")
        results(conn)
        if hasattr(pq, "PQsetChunkedRowsMode"):
            text = text.replace("single", "chunked")
            ran(text)
            if not pq.PQsendQuery(P(conn), text.encode()) or not pq.PQsetChunkedRowsMode(P(conn), 7):
                fail(conn, "PQsetChunkedRowsMode")
            results(conn)


def copy(conn, rounds):
    did["copies"] += 2
    run(conn, "COPY log (t) FROM STDIN", COPY_IN)
    for line in [b"one\n", b"two\nthree\n", b"x" * 9000 + b"\n"] * rounds:
        if pq.PQputCopyData(P(conn), line, len(line)) != 1:
            fail(conn, "PQputCopyData")
        did["copy_bytes"] += len(line)
    if pq.PQputCopyEnd(P(conn), None) != 1:
        fail(conn, "PQputCopyEnd")
    results(conn)
    run(conn, "COPY (SELECT repeat('y', n) FROM generate_series(1, 300) n) TO STDOUT", COPY_OUT)
    buffer = ctypes.c_void_p()
    while (n := pq.PQgetCopyData(P(conn), ctypes.byref(buffer), 0)) > 0:
        did["copy_bytes"] += n
        pq.PQfreemem(buffer)
    results(conn)


def prepared(conn):
    """One name, and a new text for it in every way in which the old one goes."""
    def again(alias):
        text = f"SELECT $1::int AS {alias}"
        result(conn, pq.PQprepare(P(conn), b"st", text.encode(), 1, None), COMMAND_OK, "PQprepare")
        for _ in range(3):
            ran(text)
            result(conn, pq.PQexecPrepared(P(conn), b"st", 1, strings(["1"]), None, None, 0), TUPLES_OK, "PQexecPrepared")
        # the name is taken: what it stands for stays
        result(conn, pq.PQprepare(P(conn), b"st", b"SELECT $1::int AS never", 1, None), FATAL_ERROR, "42P05")
        ran(text)
        result(conn, pq.PQexecPrepared(P(conn), b"st", 1, strings(["1"]), None, None, 0), TUPLES_OK, "PQexecPrepared")

    again("before_deallocate")
    run(conn, "DEALLOCATE st", COMMAND_OK)
    again("before_all")
    run(conn, "DEALLOCATE ALL", COMMAND_OK)
    again("before_discard")
    run(conn, "DISCARD ALL", COMMAND_OK)
    again("before_close")
    if hasattr(pq, "PQclosePrepared"):
        result(conn, pq.PQclosePrepared(P(conn), b"st"), COMMAND_OK, "PQclosePrepared")
        again("before_sent_close")
        if not pq.PQsendClosePrepared(P(conn), b"st"):
            fail(conn, "PQsendClosePrepared")
        results(conn)
    else:
        run(conn, "DEALLOCATE st", COMMAND_OK)
    again("last")
    pq.PQreset(P(conn))
    did["connects"] += 1
    again("after_reset")
    if not pq.PQresetStart(P(conn)) or not poll(conn, pq.PQresetPoll):
        fail(conn, "PQresetPoll")
    did["connects"] += 1
    again("after_async_reset")


def pipeline(conn):
    if not hasattr(pq, "PQenterPipelineMode"):
        return
    if not pq.PQenterPipelineMode(P(conn)):
        fail(conn, "PQenterPipelineMode")
    for sync in (pq.PQpipelineSync, getattr(pq, "PQsendPipelineSync", pq.PQpipelineSync)):
        for n in range(5):
            text = "SELECT n AS piped FROM generate_series(1, $1::int) n"
            ran(text)
            if not pq.PQsendQueryParams(P(conn), text.encode(), 1, None, strings([str(n)]), None, None, 0):
                fail(conn, "PQsendQueryParams")
        if not sync(P(conn)):
            fail(conn, "sync")
    pq.PQflush(P(conn))
    syncs = 0
    while syncs < 2:
        if r := pq.PQgetResult(P(conn)):
            syncs += pq.PQresultStatus(P(r)) == PIPELINE_SYNC
            pq.PQclear(P(r))
    if not pq.PQexitPipelineMode(P(conn)):
        fail(conn, "PQexitPipelineMode")


def old_cancel(conn):
    cancel = pq.PQgetCancel(P(conn))
    error = ctypes.create_string_buffer(256)
    if not pq.PQcancel(P(cancel), error, 256):
        fail(conn, "PQcancel")
    pq.PQfreeCancel(P(cancel))


def blocking_cancel(conn):
    cancel = pq.PQcancelCreate(P(conn))
    if not pq.PQcancelBlocking(P(cancel)):
        fail(conn, "PQcancelBlocking")
    pq.PQcancelFinish(P(cancel))


def polled_cancel(conn):
    cancel = pq.PQcancelCreate(P(conn))
    if not pq.PQcancelStart(P(cancel)):
        fail(conn, "PQcancelStart")
    while (state := pq.PQcancelPoll(P(cancel))) not in (POLLING_OK, POLLING_FAILED):
        fd = pq.PQcancelSocket(P(cancel))
        select.select([fd] if state == POLLING_READING else [], [fd] if state == POLLING_WRITING else [], [], 10)
    pq.PQcancelFinish(P(cancel))


def cancels(conn):
    ways = [old_cancel] + ([blocking_cancel, polled_cancel] if hasattr(pq, "PQcancelCreate") else [])
    for way in ways:
        run(conn, "SELECT 1 AS not_cancelled")
        if not pq.PQsendQuery(P(conn), b"SELECT pg_sleep(30)"):
            fail(conn, "PQsendQuery")
        time.sleep(0.1)
        way(conn)
        if results(conn) != (1, FATAL_ERROR):
            sys.exit("was not cancelled")
        # one that waits in a thread; of several statements the second
        thread = threading.Thread(target=lambda: pq.PQclear(P(pq.PQexec(P(conn), b"SELECT 1 AS part; SELECT pg_sleep(30)"))))
        did["aliases"]["part"] = did["aliases"].get("part", 0) + 1
        thread.start()
        time.sleep(0.15)
        way(conn)
        thread.join()
        did["cancels"] += 2


def function_calls(conn):
    value, size = ctypes.c_int(), ctypes.c_int()
    argument = (ctypes.c_int * 4)(4, 1, -7, 0)  # PQArgBlock: len, isint, then a union of an int and a pointer
    for _ in range(5):
        # 1397: abs(int4)
        result(conn, pq.PQfn(P(conn), 1397, ctypes.byref(value), ctypes.byref(size), 1, argument, 1), COMMAND_OK, "PQfn")
        if value.value != 7:
            sys.exit(f"abs(-7) = {value.value}")
        did["functions"] += 1


def main():
    rounds = int(sys.argv[3])
    part = sys.argv[4] if len(sys.argv) > 4 else ""
    if part == "hang":
        conn = connect("blocking")
        pq.PQsendQuery(P(conn), b"SELECT pg_sleep(60)")
        print("hangs", flush=True)
        time.sleep(60)
    for n in range(rounds):
        for how in ("blocking", "params", "start", "login"):
            conn = connect(how)
            if part == "functions":
                function_calls(conn)
            else:
                run(conn, "SELECT 1 AS connected")
                rows(conn)
                copy(conn, n)
                prepared(conn)
                pipeline(conn)
                cancels(conn)
            pq.PQfinish(P(conn))
        if not part:
            connect_in_vain()
    did["version"] = pq.PQlibVersion()
    did["pid"], did["database"] = os.getpid(), dict(pair.split("=") for pair in conninfo.decode().split())["dbname"]
    print(json.dumps(did))


main()
