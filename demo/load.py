# SPDX-License-Identifier: Apache-2.0
"""load.py HOST:PORT REQUESTS-PER-SECOND: visitors of the shop, until it is stopped."""
import http.client
import random
import sys
import threading
import time

VISITORS = 4
PAGES = [
    # weight, method, path
    (40, "GET", lambda: f"/orders/{random.randrange(1, 3000)}/"),
    (25, "GET", lambda: "/orders/?region=" + random.choice(["north", "east", "south", "west"])),
    (20, "POST", lambda: "/checkout/"),
    (8, "GET", lambda: "/"),
    (4, "GET", lambda: "/report/"),
    (2, "GET", lambda: f"/orders/{random.randrange(900000, 999999)}/"),
    (1, "GET", lambda: f"/invoice/{random.randrange(900000, 999999)}/"),
]


def visit(address, rate):
    connection = None
    while True:
        time.sleep(random.expovariate(rate / VISITORS))
        _, method, path = random.choices(PAGES, [page[0] for page in PAGES])[0]
        try:
            connection = connection or http.client.HTTPConnection(address, timeout=30)
            body = {"body": "gift=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}} if method == "POST" else {}
            connection.request(method, path(), **body)
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            connection = None


if __name__ == "__main__":
    for _ in range(VISITORS):
        threading.Thread(target=visit, args=(sys.argv[1], float(sys.argv[2])), daemon=True).start()
    threading.Event().wait()
