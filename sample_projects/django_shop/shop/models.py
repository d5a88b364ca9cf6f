"""Products, customers and their orders."""

from __future__ import annotations

import uuid
from decimal import Decimal

from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import MinValueValidator
from django.db import models
from django.urls import reverse


class Customer(AbstractUser):
    newsletter = models.BooleanField("Send me the newsletter", default=False)


class Product(models.Model):
    class Category(models.TextChoices):
        NOTEBOOKS = "notebooks"
        PENS = "pens"
        INK = "ink"

    sku = models.CharField(max_length=6, unique=True)
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=80)
    category = models.CharField(max_length=20, choices=Category.choices)
    description = models.TextField()
    price = models.DecimalField(max_digits=8, decimal_places=2, validators=[MinValueValidator(Decimal(0))])
    hue = models.PositiveSmallIntegerField(help_text="Colour of its picture, in degrees.")

    class Meta:
        ordering = ["category", "name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("product", args=[self.slug])


class Order(models.Model):
    class Payment(models.TextChoices):
        INVOICE = "invoice", "By invoice"
        CARD_ON_DELIVERY = "card_on_delivery", "By card on delivery"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    customer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders")
    placed_at = models.DateTimeField(auto_now_add=True)
    recipient = models.CharField("Full name", max_length=80)
    address = models.TextField("Address", max_length=300)
    payment = models.CharField("Payment", max_length=20, choices=Payment.choices, default=Payment.INVOICE)
    coupon = models.CharField(max_length=20, blank=True)
    total = models.DecimalField(max_digits=9, decimal_places=2)

    class Meta:
        ordering = ["-placed_at"]

    def __str__(self) -> str:
        return f"Order {str(self.id)[:8]}"

    def get_absolute_url(self) -> str:
        return reverse("order", args=[self.id])


class OrderLine(models.Model):
    order = models.ForeignKey(Order, on_delete=models.CASCADE, related_name="lines")
    product = models.ForeignKey(Product, on_delete=models.PROTECT)
    quantity = models.PositiveSmallIntegerField()
    price = models.DecimalField(max_digits=8, decimal_places=2)

    @property
    def total(self) -> Decimal:
        return self.price * self.quantity
