"""The Flask site behind an ASGI server."""

from asgiref.wsgi import WsgiToAsgi

from tests.flask.site_app import create_app

application = WsgiToAsgi(create_app())
