"""Signing up, in and out."""

from __future__ import annotations

import itly
from django.contrib.auth import login, logout
from django.contrib.auth.forms import AuthenticationForm
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render, resolve_url
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_http_methods, require_POST

from .forms import SignUpForm
from .models import Customer


@require_http_methods(["GET", "POST"])
def sign_up(request: HttpRequest) -> HttpResponse:
    form = SignUpForm(request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render(request, "sign_up.html", {"form": form}, status=400 if form.is_bound else 200)
    customer = form.save()
    login(request, customer)  # from here on the request knows the user: no call below names one
    _identify(customer)
    itly.signed_up(newsletter=customer.newsletter)
    return redirect(_next(request))


@require_http_methods(["GET", "POST"])
def sign_in(request: HttpRequest) -> HttpResponse:
    form = AuthenticationForm(request, request.POST if request.method == "POST" else None)
    if not form.is_valid():
        return render(request, "sign_in.html", {"form": form}, status=400 if form.is_bound else 200)
    customer = form.get_user()
    login(request, customer)
    _identify(customer)
    itly.signed_in(method="password")
    return redirect(_next(request))


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    if request.user.is_authenticated:
        itly.signed_out()  # before logout(): afterwards nobody is known
        logout(request)
    return redirect("catalogue")


def _identify(customer: Customer) -> None:
    itly.identify(
        name=customer.username,
        signed_up_at=customer.date_joined,
        orders=customer.orders.count(),
        newsletter=customer.newsletter,
    )


def _next(request: HttpRequest) -> str:
    """Where the visitor was going, if that is a page of ours."""
    target = request.GET.get("next", "")
    if url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}):
        return target
    return resolve_url("catalogue")
