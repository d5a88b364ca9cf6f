"""The basket: what lies in it stands in the session, {product's number: quantity}."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.contrib.sessions.backends.base import SessionBase
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from .models import Product

MOST = 20  # of one product
COUPONS = {"INK10": 10, "PAPER25": 25}  # code: percent off
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Line:
    product: Product
    quantity: int

    @property
    def total(self) -> Decimal:
        return self.product.price * self.quantity


class Basket:
    """What a visitor means to buy. Reading it changes nothing in the session."""

    def __init__(self, session: SessionBase) -> None:
        self._session = session
        self._quantities: dict[str, int] = session.get("basket", {})

    @property
    def lines(self) -> list[Line]:
        products = Product.objects.filter(pk__in=self._quantities)
        return [Line(product, self._quantities[str(product.pk)]) for product in products]

    @property
    def count(self) -> int:
        return sum(self._quantities.values())

    @property
    def subtotal(self) -> Decimal:
        return sum((line.total for line in self.lines), Decimal(0))

    @property
    def coupon(self) -> str:
        """The code of the coupon in use; empty without one."""
        return str(self._session.get("coupon", ""))

    @property
    def discount(self) -> Decimal:
        return (self.subtotal * COUPONS.get(self.coupon, 0) / 100).quantize(CENT)

    @property
    def total(self) -> Decimal:
        return self.subtotal - self.discount

    def __contains__(self, product: Product) -> bool:
        return str(product.pk) in self._quantities

    def add(self, product: Product, quantity: int) -> int:
        """Puts some in; how many that was: nobody gets more than MOST of one product."""
        key = str(product.pk)
        before = self._quantities.get(key, 0)
        after = min(before + quantity, MOST)
        self._quantities[key] = after
        self._save()
        return after - before

    def remove(self, product: Product) -> int:
        """Takes all of a product out; how many there were."""
        quantity = self._quantities.pop(str(product.pk), 0)
        self._save()
        return quantity

    def use_coupon(self, code: str) -> None:
        self._session["coupon"] = code

    def clear(self) -> None:
        self._quantities = {}
        self._session.pop("coupon", None)
        self._save()

    def _save(self) -> None:
        self._session["basket"] = self._quantities


def in_templates(request: HttpRequest) -> dict[str, Any]:
    """`basket` in every template; looked up only where one shows it."""
    return {"basket": SimpleLazyObject(lambda: Basket(request.session))}
