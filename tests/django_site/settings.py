"""SITE_ITLY: the ITLY settings as JSON. SITE_BARE=1: the integration is not installed. SITE_DIR: database and files.
SITE_USER_MODEL: a user model of its own."""

from __future__ import annotations

import json
import os
from pathlib import Path

HERE = Path(__file__).parent
IS_BARE = os.environ.get("SITE_BARE") == "1"

BASE_DIR = Path(os.environ.get("SITE_DIR", HERE))
SECRET_KEY = "test"
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1", "testserver", "localhost"]
USE_TZ = True
ROOT_URLCONF = os.environ.get("SITE_URLS", "tests.django_site.urls")
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "site.sqlite3"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
if not IS_BARE:
    INSTALLED_APPS.append("itly_web.django")
    MIDDLEWARE.append("itly_web.django.middleware.ItlyMiddleware")

ITLY = json.loads(os.environ.get("SITE_ITLY", "{}")) or {
    "PACKAGE": "site_events",
    "SOURCES": {"python": str(HERE / "tracking-plan.yaml")},
    "CONTEXT": {"version": "1.0"},
}

if "SITE_USER_MODEL" in os.environ:
    AUTH_USER_MODEL = os.environ["SITE_USER_MODEL"]
    INSTALLED_APPS.append("tests.django_site.people")
