# SPDX-License-Identifier: Apache-2.0
from django.urls import path

from store import views

urlpatterns = [
    path("", views.index),
    path("orders/", views.order_list),
    path("orders/<int:order_id>/", views.order_detail),
    path("checkout/", views.checkout),
    path("report/", views.report),
    path("invoice/<int:order_id>/", views.invoice),
]
