"""Products and amounts as the tracking plan describes them: its types Money, Product and Line."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .basket import Line
from .models import Product


def money(amount: Decimal) -> dict[str, Any]:
    return {"amount": amount, "currency": "EUR"}


def product(given: Product) -> dict[str, Any]:
    return {"sku": given.sku, "name": given.name, "category": given.category, "price": money(given.price)}


def line(given: Line) -> dict[str, Any]:
    return {"product": product(given.product), "quantity": given.quantity}
