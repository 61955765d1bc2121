# SPDX-License-Identifier: Apache-2.0
"""
A web service with a database, small enough for an emulated processor: service.py PORT CONNINFO. Each HTTP connection has a
thread and a database connection of its own. Its pages carry the id of the request into their statements, as those of
tests/e2e/app/e2e_urls.py do: /orders/r17/ sends `AS r17`. The client of the tests is tests/tools/e2e_load.py.
"""
import http.server
import re
import sys
import threading

import psycopg2

PATH = re.compile(r"^/(\w+)/(r\d+)/$")
local = threading.local()


def run(sql, *values):
    if not hasattr(local, "connection"):
        local.connection = psycopg2.connect(sys.argv[2])
        local.connection.autocommit = True
    with local.connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall() if cursor.description else []


def orders(rid):
    rows = run(f"SELECT n AS {rid} FROM things WHERE n <= %s ORDER BY n", 5)
    rows += run(f"SELECT count(*) AS {rid}, 'a literal' FROM things")
    return 200, f"{len(rows)} rows\n"


def write(rid):
    run("BEGIN")
    run(f"INSERT INTO notes (t) VALUES (%s), ('b; c') RETURNING t AS {rid}", "a")
    run(f"DELETE FROM notes RETURNING t AS {rid}")
    run("COMMIT")
    return 204, ""


def zero(rid):
    try:
        run(f"SELECT 1 / (n - 1) AS {rid} FROM generate_series(1, 3) n")
    except psycopg2.Error:
        return 500, "failed\n"
    return 200, "it did not fail\n"


def plain(_):
    return 200, "ok\n"


PAGES = {"orders": orders, "write": write, "zero": zero, "plain": plain}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = PATH.match(self.path)
        page = PAGES.get(found[1]) if found else None
        status, text = page(found[2]) if page else (404, "no such page\n")
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if status != 204 and self.command != "HEAD":
            self.wfile.write(text.encode())

    do_GET = do_POST = do_HEAD = answer

    def log_message(self, *_):
        pass


http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
