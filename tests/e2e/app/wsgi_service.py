# SPDX-License-Identifier: Apache-2.0
"""
WSGI with connections to PostgreSQL, for servers that give requests to greenlets (gunicorn's gevent workers) and to
threads that do not read them (waitress).

/orders/ID/ runs two statements whose column is named after ID; other paths run none.
"""
import queue
import re
import sys

import psycopg2
from psycopg2 import extensions

CONNECTIONS = 4
pool = queue.Queue()  # of gevent where that has patched it


def wait_in_greenlet(connection):
    """What psycogreen does: lets other greenlets run until the server has answered."""
    from gevent.socket import wait_read, wait_write

    while (state := connection.poll()) != extensions.POLL_OK:
        (wait_read if state == extensions.POLL_READ else wait_write)(connection.fileno())


def connect():
    if "gevent" in sys.modules:
        extensions.set_wait_callback(wait_in_greenlet)
    for _ in range(CONNECTIONS):
        connection = psycopg2.connect("sslmode=disable")
        connection.autocommit = True
        pool.put(connection)


def work(page, rid):
    if page != "orders" or not re.fullmatch(r"\w+", rid):
        return
    connection = pool.get()
    cursor = connection.cursor()
    cursor.execute(f"SELECT 1 AS id_{rid}")
    cursor.execute(f"SELECT generate_series(1, 3) AS id_{rid}")
    cursor.fetchall()
    pool.put(connection)


def application(environ, start_response):
    if not application.connected:
        application.connected = True
        connect()
    work(*environ["PATH_INFO"].split("/")[1:3])
    start_response("200 OK", [("Content-Length", "3")])
    return [b"ok\n"]


application.connected = False
