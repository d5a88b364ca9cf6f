"""itly for Django: add `itly_web.django` to INSTALLED_APPS and the middleware to MIDDLEWARE; see docs/django.md."""
