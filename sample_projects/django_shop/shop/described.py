"""Products and amounts as the tracking plan describes them: its types Money, Product and Line.

The results are Any because the generated types of nested objects are private to the package.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from .basket import Line
from .models import Product


def money(amount: Decimal) -> Any:
    return {"amount": amount, "currency": "EUR"}


def product(given: Product) -> Any:
    return {"sku": given.sku, "name": given.name, "category": given.category, "price": money(given.price)}


def line(given: Line) -> Any:
    return {"product": product(given.product), "quantity": given.quantity}
