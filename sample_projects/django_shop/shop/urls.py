from __future__ import annotations

from django.urls import path

from . import accounts, views

urlpatterns = [
    path("", views.catalogue, name="catalogue"),
    path("search/", views.search, name="search"),
    path("products/<slug:slug>/", views.product, name="product"),
    path("products/<slug:slug>/add/", views.add, name="add"),
    path("products/<slug:slug>/remove/", views.remove, name="remove"),
    path("basket/", views.basket, name="basket"),
    path("basket/coupon/", views.coupon, name="coupon"),
    path("checkout/", views.checkout, name="checkout"),
    path("orders/<uuid:order_id>/", views.order, name="order"),
    path("imprint/", views.imprint, name="imprint"),
    path("sign-up/", accounts.sign_up, name="sign-up"),
    path("sign-in/", accounts.sign_in, name="sign-in"),
    path("sign-out/", accounts.sign_out, name="sign-out"),
]
