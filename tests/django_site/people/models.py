from __future__ import annotations

import uuid

from django.contrib.auth.base_user import AbstractBaseUser
from django.db import models


class Person(AbstractBaseUser):
    key = models.UUIDField(primary_key=True, default=uuid.uuid4)
    handle = models.CharField(max_length=40, unique=True)

    USERNAME_FIELD = "handle"

    class Meta:
        app_label = "people"
