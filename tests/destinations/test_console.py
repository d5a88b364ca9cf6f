"""One readable line a call, whatever is in it."""

from __future__ import annotations

import io

import pytest

from itly_core.destinations.console import ConsoleOptions, format_call
from itly_core.errors import Violation


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        pytest.param(
            {"properties": {"total": 12.5, "items": ["a"]}},
            'itly track "Order Completed" user=42 {"total":12.5,"items":["a"]}',
            id="track",
        ),
        pytest.param(
            {"user_id": None, "anonymous_id": "a-1"}, 'itly track "Order Completed" anonymous=a-1', id="anonymous"
        ),
        pytest.param(
            {"kind": "identify", "name": None, "traits": {"tier": "pro"}},
            'itly identify user=42 {"tier":"pro"}',
            id="identify",
        ),
        pytest.param(
            {"kind": "group", "name": None, "group_id": "acme", "group_type": "org", "traits": {"seats": 1}},
            'itly group org=acme user=42 {"seats":1}',
            id="group",
        ),
        pytest.param(
            {"kind": "page", "name": "Intro", "category": "Docs"}, 'itly page "Docs" "Intro" user=42', id="page"
        ),
        pytest.param(
            {"kind": "alias", "name": None, "previous_id": "anonymous-7"},
            "itly alias previous=anonymous-7 user=42",
            id="alias",
        ),
        pytest.param(
            {"violations": (Violation("total", "is not a number", "type"), Violation("", "is empty", "required"))},
            'itly track "Order Completed" user=42 INVALID total: is not a number; (properties): is empty',
            id="invalid",
        ),
        pytest.param({"user_id": 'a b="c"'}, 'itly track "Order Completed" user="a b=\\"c\\""', id="odd user id"),
        pytest.param({"user_id": ""}, 'itly track "Order Completed" user=""', id="empty user id"),
    ],
)
def test_a_call_reads_as_one_line(call, fields, line):
    assert format_call(call(**fields)) == line


HOSTILE = "a\nb\r\x00\x1b[2J\x7f\x85\x9b31m\u2028\u2029\u202e\ufeffz"


def test_nothing_breaks_the_line_or_reaches_the_terminal_as_a_command(call):
    line = format_call(
        call(
            name=HOSTILE,
            user_id=HOSTILE,
            anonymous_id=HOSTILE,
            category=HOSTILE,
            properties={HOSTILE: HOSTILE},
            violations=(Violation(HOSTILE, HOSTILE, "type"),),
        )
    )

    assert line.isprintable()
    assert len(line.splitlines()) == 1


def test_values_json_does_not_know_are_still_shown(call):
    assert "1+2j" in format_call(call(properties={"z": 1 + 2j, 3: "key"}))


def test_calls_go_to_the_stream(call):
    stream = io.StringIO()

    ConsoleOptions(stream=stream).build({}, "development").send([call(), call(name="Other")])

    assert stream.getvalue() == 'itly track "Order Completed" user=42\nitly track "Other" user=42\n'


def test_standard_output_is_the_one_of_the_moment(call, capsys):
    console = ConsoleOptions().build({}, "development")

    console.send([call()])
    console.flush()
    console.shutdown()

    assert capsys.readouterr().out == 'itly track "Order Completed" user=42\n'


def test_a_terminal_that_is_not_utf_8_gets_escapes(call):
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")

    ConsoleOptions(stream=stream).build({}, "development").send([call(name="Café")])

    assert raw.getvalue() == b'itly track "Caf\\xe9" user=42\n'
