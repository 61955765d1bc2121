# SPDX-License-Identifier: Apache-2.0
from django.db import models


class Customer(models.Model):
    name = models.CharField(max_length=80)
    email = models.EmailField(unique=True)
    region = models.CharField(max_length=20)

    class Meta:
        db_table = "customers"


class Stock(models.Model):
    sku = models.CharField(max_length=20, unique=True)
    title = models.CharField(max_length=80)
    price = models.DecimalField(max_digits=8, decimal_places=2)
    quantity = models.IntegerField()

    class Meta:
        db_table = "stock"


class Order(models.Model):
    customer = models.ForeignKey(Customer, models.CASCADE, related_name="orders")
    reference = models.CharField(max_length=40, unique=True)
    created = models.DateTimeField()

    class Meta:
        db_table = "orders"


class Item(models.Model):
    order = models.ForeignKey(Order, models.CASCADE, related_name="items")
    stock = models.ForeignKey(Stock, models.PROTECT)
    quantity = models.IntegerField()

    class Meta:
        db_table = "items"
