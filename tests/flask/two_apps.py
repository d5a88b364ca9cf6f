"""Two Flask apps with a vendor key each, mounted into one process."""

from __future__ import annotations

import json
import os
from typing import Any

from werkzeug.middleware.dispatcher import DispatcherMiddleware

from tests.flask.site_app import create_app


def settings(api_key: str) -> dict[str, Any]:
    given = json.loads(os.environ["SITE_ITLY"])
    given["DESTINATIONS"]["amplitude"]["api_key"] = api_key
    return given


application = DispatcherMiddleware(
    create_app(ITLY=settings("first-key")), {"/second": create_app(ITLY=settings("second-key"))}
)
