"""What a vendor gets of properties does not depend on whether anybody took them apart on the way."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.call import decode_call
from itly_core.destinations.amplitude import AmplitudeOptions
from itly_core.destinations.segment import SegmentOptions
from tests.core.test_lines import KINDS, OBJECTS, TEXTS, line_of

VENDORS = {
    "amplitude": AmplitudeOptions(api_key="k").build(
        {"name": "Shop", "source": "python", "version": "1"}, "production"
    ),
    "segment": SegmentOptions(write_key="k").build({}, "production"),
}
FACTS = st.none() | st.fixed_dictionaries({"path": st.just("/a")}, optional={"ip": st.just("192.0.2.0")})
NAMED = st.dictionaries(TEXTS | st.sampled_from(["context", "name", "category"]), st.integers(0, 9) | TEXTS, max_size=4)


@pytest.mark.parametrize("vendor", VENDORS)
@given(kind=KINDS, name=TEXTS, properties=OBJECTS | NAMED, facts=FACTS)
def test_the_same_is_sent(
    vendor: str, kind: str, name: str, properties: dict[str, Any], facts: dict[str, Any] | None
) -> None:
    call = decode_call(line_of(kind, name, "user-1", properties, facts))
    taken_apart = dataclasses.replace(call)
    assert (call.body_json is None, taken_apart.body_json) == (False, None)
    as_written, anew = ([json.loads(piece) for piece in VENDORS[vendor].pieces(one)] for one in (call, taken_apart))
    assert as_written == anew


@pytest.mark.parametrize("facts", [None, {"path": "/a"}])
@pytest.mark.parametrize(("vendor", "field"), [("amplitude", "event_properties"), ("segment", "properties")])
def test_what_is_laid_over_a_vendors_event_is_laid_over_its_properties(vendor: str, field: str, facts: Any) -> None:
    over = {vendor: {field: {"b": 2}}}
    call = decode_call(line_of("track", "Seen", "u", {"a": 1, "b": 1}, facts, destinations=over))
    (piece,) = VENDORS[vendor].pieces(call)
    properties = json.loads(piece)[field]
    assert (properties["a"], properties["b"]) == (1, 2)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_number_keeps_its_digits(vendor: str) -> None:
    call = decode_call(line_of("track", "Seen", "u", {"total": 2**70, "small": 1e-7}))
    (piece,) = VENDORS[vendor].pieces(call)
    assert str(2**70).encode() in piece
