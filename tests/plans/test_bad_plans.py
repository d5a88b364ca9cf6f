"""A plan that cannot be used is refused with the file, the line and the key."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import PlanError
from itly_core.plans import load
from itly_core.plans.providers import itly
from itly_core.plans.raw import Raw
from itly_core.validation import compile_schema

from .bad_plans import BAD_PLANS, BadPlan


@pytest.mark.parametrize("bad", BAD_PLANS.values(), ids=BAD_PLANS.keys())
def test_a_bad_plan_names_its_line_and_key(bad: BadPlan, tmp_path: Path) -> None:
    file = tmp_path / "tracking-plan.yaml"
    file.write_text(bad.text, encoding="utf-8")

    with pytest.raises(PlanError) as caught:
        load(file)

    assert (caught.value.location, caught.value.path) == (f"{file}:{bad.line}", bad.path)
    assert bad.message in caught.value.message


GOOD: dict[str, Any] = {
    "itly": 1,
    "plan": {"name": "Shop", "version": "1.0.0", "source": "python"},
    "defaults": {"additional_properties": False, "formats": "warn", "draft": "7"},
    "types": {"Code": {"type": "string", "pattern": "^[A-Z]+$"}, "Pair": {"properties": {"a": {"type": "Code[]"}}}},
    "context": {"properties": {"version": {"type": "string", "required": True}}},
    "events": {
        "Started": {
            "version": "1.0.0",
            "tags": ["ops"],
            "identity": {"user_id": "who"},
            "examples": [{"who": "u"}],
            "properties": {
                "who": {"type": "string", "nullable": True},
                "cpu": {"type": ["integer", "Code"], "minimum": 1, "enum": [1, 2]},
                "pair": {"type": "Pair"},
                "list": {"type": "array", "items": {"properties": {"x": {"const": 1}}}},
            },
        },
        "Raw": {"schema": {"properties": {"a": {"$ref": "#/definitions/b"}}, "definitions": {"b": {"type": "string"}}}},
    },
}
WORDS = [
    "a",
    "Started",
    "Code",
    "Code[]",
    "$ref",
    "#",
    "#/definitions/b",
    "type",
    "properties",
    "allOf",
    "$id",
    "id",
    "null",
]
values = st.recursive(
    st.sampled_from([None, True, False, 0, 1, -1, 1.5, "", *WORDS]),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.sampled_from(WORDS), below, max_size=3),
    max_leaves=5,
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key in value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield from _paths(value[key], (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    changed = dict(value) if isinstance(value, dict) else list(value)
    changed[path[0]] = _with(value[path[0]], path[1:], new)
    return changed


@given(st.sampled_from(list(_paths(GOOD))), st.none() | st.sampled_from(WORDS), values)
def test_whatever_stands_in_a_plan_it_is_used_or_refused_with_its_place(
    path: tuple[Any, ...], key: str | None, value: Any
) -> None:
    old = GOOD
    for step in path:
        old = old[step]
    document = _with(GOOD, path, {**old, key: value} if key is not None and isinstance(old, dict) else value)
    try:
        plan = itly.parse([Raw("plan.json", "plan", json.dumps(document).encode())])
    except PlanError as exc:
        assert re.match(r"plan\.json:\d+\Z", exc.location)  # noqa: PT017  # refusing is one of two right outcomes
        return

    for section in (*plan.events, plan.context):
        if section is not None:
            compile_schema(section.schema).violations({"a": 1})
