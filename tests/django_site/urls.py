from __future__ import annotations

from django.urls import path

from . import views

urlpatterns = [path(f"{name}/", view) for name, view in views.VIEWS.items()] + [
    path("seen/<str:where>/", views.seen_at),
]
