# SPDX-License-Identifier: Apache-2.0
"""Pages of a small shop, with the mistakes that real shops make."""
import random

from django.db import connection, transaction
from django.db.models import F
from django.http import HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.shortcuts import get_object_or_404
from django.utils import timezone

from store.models import Item, Order, Stock


def index(request):
    return HttpResponse("a small shop: /orders/ /orders/1/ /checkout/ /report/\n", content_type="text/plain")


def order_list(request):
    """The newest orders of a region: one join, well behaved."""
    region = request.GET.get("region", "north")
    orders = Order.objects.select_related("customer").filter(customer__region=region).order_by("-created")[:20]
    return JsonResponse({"orders": [{"reference": o.reference, "customer": o.customer.name} for o in orders]})


def order_detail(request, order_id):
    """The classic N+1: one more statement for the stock row of every item."""
    order = get_object_or_404(Order.objects.select_related("customer"), pk=order_id)
    items = [
        {"title": item.stock.title, "quantity": item.quantity, "price": str(item.stock.price)}
        for item in order.items.all()
    ]
    return JsonResponse({"reference": order.reference, "customer": order.customer.name, "items": items})


def checkout(request):
    """References are drawn from a range that is too small, so some collide: a unique violation and a 500."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    reference = request.POST.get("reference") or f"W-{random.randrange(2000)}"
    stock_id = random.randrange(1, 201)
    with transaction.atomic():
        order = Order.objects.create(
            customer_id=random.randrange(1, 501), reference=reference, created=timezone.now()
        )
        Item.objects.create(order=order, stock_id=stock_id, quantity=1)
        Stock.objects.filter(pk=stock_id).update(quantity=F("quantity") - 1)
    return JsonResponse({"order": order.pk}, status=201)


REPORT = """
SELECT c.region, s.title, count(*), sum(i.quantity * s.price)
FROM items i JOIN stock s ON s.id = i.stock_id JOIN orders o ON o.id = i.order_id
JOIN customers c ON c.id = o.customer_id
WHERE lower(c.email) LIKE %s AND md5(o.reference || s.sku) > 'a'
GROUP BY 1, 2 ORDER BY 4 DESC LIMIT 10
"""


def report(request):
    """A slow statement: reads everything, and hashes it."""
    with connection.cursor() as cursor:
        cursor.execute(REPORT, ["%@example.%"])
        rows = cursor.fetchall()
    return JsonResponse({"top": [[region, title, n, str(total)] for region, title, n, total in rows]})


def invoice(request, order_id):
    """Orders without items make it divide by zero in the database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(quantity) / (count(*) - 1) FROM items WHERE order_id = %s", [order_id])
        return JsonResponse({"average": str(cursor.fetchone()[0])})
