# SPDX-License-Identifier: Apache-2.0
"""
HTTP on an event loop of its own, as Twisted's: in a process that has asyncio and no task of it. Threads ask PostgreSQL,
and leave the answer to the loop. selectors_service.py PORT. What it runs for a request: wsgi_service.py.
"""
import asyncio  # noqa: F401, as Twisted does
import queue
import selectors
import socket
import sys
import threading

import wsgi_service

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n"


def worker():
    while True:
        client, head = asked.get()
        wsgi_service.work(*head.split()[1].decode().split("/")[1:3])
        done.put((client, b"connection: close" in head.lower()))
        woken.send(b"x")


def read(client):
    head = client.recv(65536)
    if head:
        asked.put((client, head))
    else:
        leave(client)


def leave(client):
    loop.unregister(client)
    client.close()


def answer(waker):
    for _ in waker.recv(65536):
        client, closes = done.get()
        client.send(OK)
        if closes:
            leave(client)


asked, done = queue.Queue(), queue.Queue()
woken, waker = socket.socketpair()
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
loop = selectors.DefaultSelector()
loop.register(listener, selectors.EVENT_READ, lambda l: loop.register(l.accept()[0], selectors.EVENT_READ, read))
loop.register(waker, selectors.EVENT_READ, answer)
wsgi_service.connect()
for _ in range(8):
    threading.Thread(target=worker, daemon=True).start()
while True:
    for key, _ in loop.select():
        key.data(key.fileobj)
