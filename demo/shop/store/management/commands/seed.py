# SPDX-License-Identifier: Apache-2.0
from django.core.management.base import BaseCommand
from django.db import connection

ROWS = """
INSERT INTO customers (name, email, region)
    SELECT 'Customer ' || n, 'c' || n || '@example.org', (ARRAY['north','east','south','west'])[1 + n %% 4]
    FROM generate_series(1, 500) n;
INSERT INTO stock (sku, title, price, quantity)
    SELECT 'SKU-' || n, 'Article ' || n, 1 + n %% 97, 100000 FROM generate_series(1, 200) n;
INSERT INTO orders (customer_id, reference, created)
    SELECT 1 + n %% 500, 'O-' || n, now() - n * interval '1 minute' FROM generate_series(1, %(orders)s) n;
INSERT INTO items (order_id, stock_id, quantity)
    SELECT 1 + n / 10, 1 + (n * 7) %% 200, 1 + n %% 3 FROM generate_series(0, %(orders)s * 10 - 1) n;
"""


class Command(BaseCommand):
    help = "fills an empty database"

    def add_arguments(self, parser):
        parser.add_argument("--orders", type=int, default=3000)

    def handle(self, *args, **options):
        with connection.cursor() as cursor:
            cursor.execute(ROWS % {"orders": options["orders"]})
            cursor.execute("ANALYZE")
