"""The shop's settings. The environment may say:

SHOP_DEBUG=0        production: a call that breaks the plan is flagged instead of raising an error page
SHOP_DATA           directory of the database and the spool (default: beside this project's manage.py)
AMPLITUDE_API_KEY, AMPLITUDE_ENDPOINT, SEGMENT_WRITE_KEY, SEGMENT_ENDPOINT
                    where events go; with no key at all, development prints them
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

BASE_DIR = Path(__file__).resolve().parents[1]
DATA_DIR = Path(os.environ.get("SHOP_DATA", BASE_DIR))

DEBUG = os.environ.get("SHOP_DEBUG", "1") != "0"
SECRET_KEY = "for this sample only"
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
USE_TZ = True
STATIC_URL = "static/"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA_DIR / "shop.sqlite3",
        "OPTIONS": {"timeout": 20},  # seconds: workers take turns in writing
    }
}

AUTH_USER_MODEL = "shop.Customer"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "catalogue"

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "itly_web.django",
    "shop",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "itly_web.django.middleware.ItlyMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "shop.basket.in_templates",
            ]
        },
    }
]

DESTINATIONS: dict[str, Any] = {}
if "AMPLITUDE_API_KEY" in os.environ:
    DESTINATIONS["amplitude"] = {
        "api_key": os.environ["AMPLITUDE_API_KEY"],
        "endpoint": os.environ.get("AMPLITUDE_ENDPOINT"),
    }
if "SEGMENT_WRITE_KEY" in os.environ:
    DESTINATIONS["segment"] = {
        "write_key": os.environ["SEGMENT_WRITE_KEY"],
        "endpoint": os.environ.get("SEGMENT_ENDPOINT"),
    }

ITLY = {
    "PACKAGE": "itly",
    "SOURCES": {"python": "tracking-plan.yaml"},
    "CONTEXT": {"version": "1.0"},
    "DESTINATIONS": DESTINATIONS,
    "SPOOL_DIR": DATA_DIR / ".itly",
}
