"""Whatever a document of a known format has become: a plan, or an error that says where, never anything else."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import PlanError
from itly_core.plans import Raw
from itly_core.plans.providers import PROVIDERS
from tests.plans import samples
from tests.plans.recorded import RECORDED

DOCUMENTS: dict[str, list[Any]] = {
    **{name: list(recorded.pages.values()) for name, recorded in RECORDED.items()},
    "rudder-cli": [yaml.safe_load(text) for text in samples.RUDDER_CLI_OLD.values()],
    "iteratively": [yaml.safe_load(samples.ITLYRC)],
    "typewriter": [samples.SEGMENT_V7, samples.SEGMENT_V8],
    "ruddertyper": [samples.RUDDER_PLAN],
}
DOCUMENTS["iglu"] = DOCUMENTS["iglu"][1:]  # without the list
NAMES = {"typewriter": "segment", "ruddertyper": "rudderstack"}

values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "type", "#/x", "#property:id", "é"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["a", "type", "$ref"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in entries:
        yield from paths(below, (*path, key))


def changed(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    copied = copy.deepcopy(document)
    holder = copied
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return copied


def parsed(provider: str, raws: list[Raw]) -> None:
    try:
        plan = PROVIDERS[provider].parse(raws)
    except PlanError:
        return
    assert all(event.name for event in plan.events)


@pytest.mark.parametrize("name", DOCUMENTS)
@given(data=st.data())
def test_a_changed_document_is_a_plan_or_a_plan_error(name: str, data: st.DataObject) -> None:
    documents = list(DOCUMENTS[name])
    number = data.draw(st.integers(0, len(documents) - 1))
    path = data.draw(st.sampled_from(list(paths(documents[number]))))
    documents[number] = changed(documents[number], path, data.draw(values))
    name_of_provider = NAMES.get(name, name)
    raws = [Raw(f"{index}.json", str(index), json.dumps(one).encode()) for index, one in enumerate(documents)]

    PROVIDERS[name_of_provider].recognises(raws)
    parsed(name_of_provider, raws)


@pytest.mark.parametrize("name", [*(set(PROVIDERS) - {"itly"}), "itly"])
@given(value=values)
def test_any_document_is_a_plan_or_a_plan_error(name: str, value: Any) -> None:
    raws = [Raw("any.json", "any", json.dumps(value).encode())]

    assert PROVIDERS[name].recognises(raws) in (True, False)
    parsed(name, raws)


@pytest.mark.parametrize("name", ["csv", "amplitude"])
@given(data=st.data())
def test_any_table_is_a_plan_or_a_plan_error(name: str, data: st.DataObject) -> None:
    text = data.draw(st.sampled_from([samples.SHEET, samples.AMPLITUDE_EVENTS, samples.AMPLITUDE_USERS]))
    at = data.draw(st.integers(0, len(text)))
    spoilt = text[:at] + data.draw(st.text('",\n\tx1é', max_size=3)) + text[at + data.draw(st.integers(0, 3)) :]
    raws = [Raw("any.csv", "any", spoilt.encode())]

    PROVIDERS[name].recognises(raws)
    parsed(name, raws)


@given(data=st.data())
def test_any_code_is_a_plan_or_a_plan_error(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(list(samples.CODE)))
    code = samples.CODE[name]
    at = data.draw(st.integers(0, len(code)))
    spoilt = code[:at] + data.draw(st.text("\"'`{}:\\u$", max_size=4)) + code[at + data.draw(st.integers(0, 5)) :]

    parsed("iteratively", [Raw(name, "any", spoilt.encode())])
