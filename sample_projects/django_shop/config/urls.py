from __future__ import annotations

from django.contrib.staticfiles.views import serve
from django.urls import include, path

urlpatterns = [
    path("", include("shop.urls")),
    # No web server stands in front of this sample to serve its one stylesheet.
    path("static/<path:path>", serve, {"insecure": True}),
]
