#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stands between a client and a server and keeps what they say, to make golden files of.

capture.py LISTEN_PORT SERVER_PORT FILE [COUNT]: takes COUNT connections on 127.0.0.1, one after the other, and writes
the last to FILE when it is over, as a row of pieces: '>' (client) or '<' (server), length (4 bytes, big-endian), bytes.
"""
import selectors
import socket
import struct
import sys


def carry(listener, server, path):
    client, _ = listener.accept()
    upstream = socket.create_connection(("127.0.0.1", server))
    ways = {client: (upstream, b">"), upstream: (client, b"<")}
    poll = selectors.DefaultSelector()
    for s in ways:
        poll.register(s, selectors.EVENT_READ)
    with open(path, "wb") as out:
        while True:
            for key, _ in poll.select(timeout=20) or sys.exit("capture.py: nothing for 20 s"):
                data = key.fileobj.recv(65536)
                to, mark = ways[key.fileobj]
                if not data:
                    to.close()
                    return
                out.write(mark + struct.pack(">I", len(data)) + data)
                to.sendall(data)


def main():
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    listener.settimeout(20)
    for _ in range(int(sys.argv[4]) if len(sys.argv) > 4 else 1):
        carry(listener, int(sys.argv[2]), sys.argv[3])


main()
