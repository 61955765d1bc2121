# SPDX-License-Identifier: Apache-2.0
"""
Pages whose statements carry the id of the request that caused them, as a column alias: /orders/r17/ sends statements
with `AS "r17"` or `AS r17`. An alias is an identifier, so it stays when literals are removed from the text.

With SHOP_ALIASES=N only N different aliases are used (r17 sends `AS r17` modulo N), for each one is an operation of its
own to those who count operations.
"""
import os
import time
import urllib.request

from django.db import connection, transaction
from django.db.models import F, Value
from django.db.utils import IntegrityError
from django.http import HttpResponse, StreamingHttpResponse
from django.urls import re_path
from store.models import Customer, Item, Order, Stock

MIB = 1 << 20
ALIASES = int(os.environ.get("SHOP_ALIASES", "0"))


def alias(rid):
    return f"r{int(rid[1:]) % ALIASES}" if ALIASES else rid


def rows(sql, params=()):
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()


def orders(request, rid):
    """Three statements through the ORM and one by hand; rows come back from all."""
    n = 1 + int(rid[1:]) % 1000
    order = Order.objects.select_related("customer").annotate(**{alias(rid): Value(1)}).get(pk=n)
    items = list(Item.objects.filter(order=order).annotate(**{alias(rid): Value("it's")}).select_related("stock"))
    near = list(Customer.objects.filter(region=order.customer.region).annotate(**{alias(rid): Value(2)}).order_by("id")[:5])
    total = rows(f"SELECT count(*) AS {alias(rid)}, sum(quantity) FROM items WHERE order_id = %s", [n])[0]
    return HttpResponse(f"{order.reference} {len(items)} {len(near)} {total}\n")


def write(request, rid):
    """A transaction: INSERT with RETURNING, UPDATE, DELETE; the body is read first."""
    body = request.body
    with transaction.atomic():
        stock = Stock.objects.create(sku=f"e2e-{rid}", title=str(len(body)), price=1, quantity=1)
        rows(f"SELECT quantity AS {alias(rid)} FROM stock WHERE id = %s FOR UPDATE", [stock.pk])
        Stock.objects.filter(pk=stock.pk).update(quantity=F("quantity") + 1)
        stock.delete()
    return HttpResponse(status=204)


def sleep(request, rid):
    rows(f"SELECT pg_sleep(0.05) AS {alias(rid)}")
    return HttpResponse("slept\n")


def stream(request, rid):
    """1 MiB of rows in one statement, 64 rows every 20 ms; then the answer in pieces: first bytes early, last ones late."""

    def body():
        sql = (
            f"SELECT repeat('x', 1024) AS {alias(rid)}, CASE WHEN n % 64 = 0 THEN pg_sleep(0.02) END"
            " FROM generate_series(1, 1024) n"
        )
        with connection.cursor() as cursor:
            began = time.perf_counter()
            cursor.execute(sql)
            data = cursor.fetchall()
            took = time.perf_counter() - began
        yield f"{took:.6f}\n"
        for i in range(0, len(data), 128):
            yield "".join(row[0] for row in data[i : i + 128])
            time.sleep(0.02)

    return StreamingHttpResponse(body())


def big(request, rid):
    """More than socket buffers hold: a client that leaves is noticed."""
    rows(f"SELECT 1 AS {alias(rid)}")
    return StreamingHttpResponse("x" * MIB for _ in range(64))


def unique(request, rid):
    try:
        rows(f"INSERT INTO stock (sku, title, price, quantity) VALUES ('SKU-1', 'again', 1, 1) RETURNING id AS {alias(rid)}")
    except IntegrityError:
        return HttpResponse("conflict\n", status=409)
    return HttpResponse("stored\n")


def zero(request, rid):
    """A statement that fails, and nobody catches it: 500."""
    rows(f"SELECT 1 / (n - 1) AS {alias(rid)} FROM generate_series(1, 3) n")


def boom(request, rid):
    raise RuntimeError("no statement, just an error")


def plain(request, rid):
    return HttpResponse("ok\n")


def outgoing(request, rid):
    """Calls another service, then asks the database."""
    with urllib.request.urlopen(request.GET["url"], timeout=10) as answer:
        answer.read()
    rows(f"SELECT 1 AS {alias(rid)}")
    return HttpResponse("called\n")


PAGES = [orders, write, sleep, stream, big, unique, zero, boom, plain, outgoing]
urlpatterns = [re_path(rf"^{page.__name__}/(?P<rid>r\d+)/$", page) for page in PAGES]
