"""The line a call travels as: what is read of it, and what is noticed when it was changed."""

from __future__ import annotations

import copy
import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.call import Call, decode_call, encode_call, sealed, thawed
from itly_core.client import Client
from itly_core.encoding import dumps_plain
from itly_core.log import Log
from itly_core.options import Options
from itly_core.plan import Plan

TEXTS = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ['"', "\\", ',"body_bytes":7,', '{"crc":1,', ',"properties":{', "}", "\n", "context"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(TEXTS, VALUES, max_size=4)


class Kept:
    """Takes the place of delivery."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def accept(self, line: bytes) -> None:
        self.lines.append(line)


def line_of(
    kind: str, name: str, user_id: str, given: dict[str, Any], context: dict[str, Any] | None = None, **about_it: Any
) -> bytes:
    from itly_core.call import EventOptions
    from itly_core.options import Environment, ValidationOptions

    kept = Kept()
    options = Options(environment=Environment.PRODUCTION, validation=ValidationOptions(disabled=True))
    client = Client(Plan(), options, kept, Log(None), scope=lambda: None)  # type: ignore[arg-type]
    about = EventOptions(context=context, **about_it) if context is not None or about_it else None
    match kind:
        case "track":
            client.event(name, user_id, given, options=about)
        case "identify":
            client.identify(user_id, given, options=about)
        case "group":
            client.group(user_id, name, given, options=about)
        case "page":
            client.page(user_id, None, name, given, options=about)
        case _:
            client.alias(user_id, name, about)
    (line,) = kept.lines
    return line


KINDS = st.sampled_from(["track", "identify", "group", "page", "alias"])
PLACES = st.integers(0, 1_000_000)  # the line's length depends on the moment
LINES = st.builds(line_of, KINDS, TEXTS, TEXTS, OBJECTS, st.none() | OBJECTS)


@given(LINES)
def test_a_line_says_the_same_to_us_as_to_any_reader_of_json(line: bytes) -> None:
    told, call = json.loads(line), decode_call(line)
    for name in ("kind", "message_id", "user_id", "name", "timestamp_ms"):
        assert getattr(call, name) == told.get(name)
    for name in ("properties", "traits", "context"):
        assert getattr(call, name) == told.get(name, {})
    assert call.body_json is not None
    assert json.loads(call.body_json) == told.get("properties", told.get("traits"))


@given(LINES)
def test_a_call_that_is_written_anew_is_the_same(line: bytes) -> None:
    call = decode_call(line)
    assert decode_call(encode_call(decode_call(line))) == call
    assert copy.deepcopy(call) == call
    assert dataclasses.replace(call, user_id="b").properties == call.properties


@given(LINES, PLACES, st.integers(1, 255))
def test_a_sealed_line_that_was_changed_anywhere_is_refused_or_means_the_same(
    line: bytes, place: int, flip: int
) -> None:
    whole = sealed(line)
    assert decode_call(whole) == decode_call(line)
    assert json.loads(whole) == {"crc": json.loads(whole)["crc"], **json.loads(line)}

    changed = bytearray(whole)
    changed[place % (len(whole) - 1)] ^= flip
    try:
        found = decode_call(bytes(changed))
    except ValueError:
        return
    assert found == decode_call(line)  # only where the seal itself cannot be recognised any more


@given(LINES, PLACES)
def test_a_part_of_a_line_is_no_call(line: bytes, place: int) -> None:
    for whole in (line, sealed(line)):
        with pytest.raises(ValueError):
            decode_call(whole[: place % (len(whole) - 1)])


@given(LINES, LINES, PLACES)
def test_two_lines_run_together_are_no_call(first: bytes, second: bytes, place: int) -> None:
    with pytest.raises(ValueError):
        decode_call(sealed(first)[: 1 + place % len(first)] + sealed(second))


@pytest.mark.parametrize("length", [b"0", b"1", b"9999", b"-3", b"x", b""])
def test_a_wrong_length_of_the_body_is_refused(length: bytes) -> None:
    line = line_of("track", "Seen", "u", {"a": {"b": 1}})
    assert b',"body_bytes":13,' in line
    with pytest.raises(ValueError):
        decode_call(line.replace(b',"body_bytes":13,', b',"body_bytes":%b,' % length))


def test_a_line_without_length_and_seal_is_read_as_well() -> None:
    record = {"kind": "track", "message_id": "m", "timestamp_ms": 1, "name": "Seen", "properties": {"body_bytes": 3}}
    call = decode_call(dumps_plain(record))
    assert (call.properties, call.traits, call.body_json) == ({"body_bytes": 3}, {}, None)


def test_a_hook_may_fill_the_objects_of_its_call_and_of_no_other() -> None:
    line = line_of("track", "Seen", "u", {"a": 1})
    call = thawed(decode_call(line))
    call.properties["b"] = 2  # type: ignore[index]
    call.traits["c"] = 3  # type: ignore[index]
    assert decode_call(encode_call(call)).properties == {"a": 1, "b": 2}
    assert (decode_call(line).properties, decode_call(line).traits) == ({"a": 1}, {})
    with pytest.raises(TypeError):
        decode_call(line).traits["c"] = 3  # type: ignore[index]


def test_an_unknown_attribute_is_none_of_a_call() -> None:
    with pytest.raises(AttributeError):
        Call(kind="track", message_id="m", timestamp=None).nothing  # type: ignore[arg-type]
