"""Django REST framework: it checks tokens inside the view, and reads the body itself."""

from __future__ import annotations

from typing import Any

import pytest
import site_events as itly
from django.db import connection
from django.http import HttpRequest
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import path
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.decorators import api_view, authentication_classes, parser_classes, renderer_classes
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from itly_core.testing import Recorder

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]


class TokenAuthentication(BaseAuthentication):
    """The user's name is the token."""

    def authenticate(self, request: Request) -> tuple[Any, str] | None:
        from django.contrib.auth import get_user_model

        header = request.META.get("HTTP_AUTHORIZATION", "")
        if not header.startswith("Token "):
            return None
        user = get_user_model().objects.filter(username=header[6:]).first()
        if user is None:
            raise AuthenticationFailed
        return user, header


@api_view(["GET"])
@authentication_classes([TokenAuthentication])
@renderer_classes([JSONRenderer])
def tokened(request: Request) -> Response:
    itly.seen(where="before the user is known to the view")
    name = request.user.get_username()
    itly.seen(where="after")
    return Response({"name": name})


@api_view(["POST"])
@authentication_classes([TokenAuthentication, SessionAuthentication])
@parser_classes([JSONParser, MultiPartParser])
@renderer_classes([JSONRenderer])
def parsed(request: Request) -> Response:
    itly.seen(where="before the body is read")
    return Response({name: str(value) for name, value in request.data.items()})


def plain(request: HttpRequest) -> Any:
    from django.http import HttpResponse

    return HttpResponse("plain")


urlpatterns = [path("tokened/", tokened), path("parsed/", parsed), path("plain/", plain)]


def users(recorder: Recorder) -> list[Any]:
    return [call.user_id for call in recorder.calls]


def test_scenario_27_the_user_of_a_token_is_found(client: Client, recorder: Recorder, jane: Any) -> None:
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/tokened/", headers={"authorization": "Token jane"})

    assert response.json() == {"name": "jane"}
    assert users(recorder) == [str(jane.pk)] * 2
    assert len(queries) == 1  # the token's, which is the framework's own
    assert not response.has_header("Vary")


def test_scenario_27_a_token_that_is_wrong_or_missing_is_nobody(client: Client, recorder: Recorder, jane: Any) -> None:
    assert client.get("/tokened/").json() == {"name": ""}
    assert client.get("/tokened/", headers={"authorization": "Token nobody"}).status_code in (401, 403)

    assert users(recorder) == [None, None]


def test_scenario_27_the_token_counts_and_not_the_session_beside_it(
    client: Client, recorder: Recorder, jane: Any, django_user_model: Any
) -> None:
    other = django_user_model.objects.create_user("other", password="secret")
    client.force_login(other)
    client.get("/tokened/", headers={"authorization": "Token jane"})

    assert users(recorder) == [str(jane.pk)] * 2


@pytest.mark.parametrize("content_type", ["application/json", "multipart"])
def test_scenario_29_a_body_that_the_framework_parses_is_left_to_it(
    client: Client, recorder: Recorder, jane: Any, content_type: str
) -> None:
    given = {} if content_type == "multipart" else {"content_type": content_type}
    response = client.post("/parsed/", {"a": "1"}, headers={"authorization": "Token jane"}, **given)  # type: ignore[arg-type]

    assert response.json() == {"a": "1"}
    assert users(recorder) == [str(jane.pk)]


def test_scenario_24_a_page_beside_it_costs_nothing(client: Client, recorder: Recorder, jane: Any) -> None:
    client.force_login(jane)
    with CaptureQueriesContext(connection) as queries:
        response = client.get("/plain/", headers={"authorization": "Token jane"})

    assert (len(queries), response.has_header("Vary")) == (0, False)
