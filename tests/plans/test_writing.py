"""Plans written anew: converted from any format, brought into one style, and read as the same plan."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import PlanError
from itly_core.plans import Plan, Raw, Section, load
from itly_core.plans.converting import converted
from itly_core.plans.providers import itly
from itly_core.plans.schemas import URIS
from itly_core.plans.style import formatted, json_text, yaml_of
from itly_core.plans.syntax import read
from itly_core.plans.writing import document, essence
from tests.plans import samples
from tests.plans.test_docs import EXAMPLES

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"

# --- values as YAML and JSON ------------------------------------------------------------------------------------------

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "no",
        "On",
        "~",
        "null",
        "1",
        "1.0",
        "0x1f",
        "1_000",
        "2026-01-10",
        "a: b",
        "a #b",
        "- a",
        "",
        " ",
        "x\ny\n",
        "a\n\nb",
        "{",
        "é",
    ]
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=12
)


@given(st.dictionaries(texts, values, max_size=4))
def test_what_is_written_reads_as_the_same_value(value: dict[str, Any]) -> None:
    assert read("x.yaml", yaml_of(value)).value == value
    assert read("x.json", json_text(value)).value == value


@given(st.dictionaries(texts, values, max_size=4))
def test_what_is_in_the_style_stays_as_it_is(value: dict[str, Any]) -> None:
    text = yaml_of(value)

    assert formatted("x.yaml", text) == text


@given(value=values)
def test_yaml_and_json_become_each_other_without_loss(value: Any) -> None:
    plan = {"itly": 1, "x-own": value, "events": {"A": {"examples": [{"a": value}]}}}

    as_yaml = read("x.yaml", yaml_of(read("x.json", json_text(plan)).value)).value
    as_json = read("x.json", json_text(read("x.yaml", yaml_of(plan)).value)).value

    assert as_yaml == as_json == plan


# --- fmt --------------------------------------------------------------------------------------------------------------

UNTIDY = """\
# A header, which stays above everything.
plan: {version: 1.0.0, name: "Shop"}   # the plan
itly: 1

events:
    # about A
    A:
        properties:
            # about p
            p: {required: true, type: string, description: "a, b: c"}  # beside p
            q:
              enum:
                - a # why a
                - "no"
            # at the end of A's properties
        description: >-
          folded text
          over lines

    "B b": {}
    C: {owner: me, description: "one\\ntwo"}
# the end
"""

TIDY = """\
# A header, which stays above everything.
itly: 1
plan: {name: Shop, version: 1.0.0}  # the plan

events:
  # about A
  A:
    description: folded text over lines
    properties:
      # about p
      p: {type: string, required: true, description: "a, b: c"}  # beside p
      q:
        enum:
          - a  # why a
          - "no"
      # at the end of A's properties

  B b: {}
  C:
    description: |-
      one
      two
    owner: me
# the end
"""


def test_a_file_gets_one_order_and_style_and_keeps_its_comments() -> None:
    assert formatted("plan.yaml", UNTIDY.encode()).decode() == TIDY


@pytest.mark.parametrize("text", [TIDY, *EXAMPLES])
def test_formatting_twice_is_formatting_once(text: str) -> None:
    once = formatted("plan.yaml", text.encode())

    assert formatted("plan.yaml", once) == once
    assert read("plan.yaml", once).value == read("plan.yaml", text.encode()).value


@given(st.data())
def test_no_comment_is_lost_wherever_it_stands(data: st.DataObject) -> None:
    lines = UNTIDY.splitlines()
    for number in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(lines)))
        if not any("folded" in line or "over lines" in line for line in lines[max(0, at - 1) : at + 1]):
            lines.insert(at, " " * data.draw(st.integers(0, 14)) + f"# put in {number}")
    text = "\n".join(lines) + "\n"
    before = sorted(line.partition("#")[2].strip() for line in text.splitlines() if "#" in line)

    after = formatted("plan.yaml", text.encode())

    assert sorted(line.partition("#")[2].strip() for line in after.decode().splitlines() if "#" in line) == before
    assert formatted("plan.yaml", after) == after


def test_an_alias_stays_an_alias_below_its_anchor() -> None:
    text = "itly: 1\nevents:\n  A: {properties: {p: &p {type: string}, q: *p}}\n"

    after = formatted("plan.yaml", text.encode())

    assert b"q: *p" in after
    assert read("plan.yaml", after).value == read("plan.yaml", text.encode()).value


def test_json_keeps_to_json() -> None:
    text = b'{"plan": {"version": "1", "name": "Shop"}, "itly": 1}'

    assert (
        formatted("plan.json", text)
        == b'{\n  "itly": 1,\n  "plan": {\n    "name": "Shop",\n    "version": "1"\n  }\n}\n'
    )


def test_what_is_no_yaml_is_a_plan_error() -> None:
    with pytest.raises(PlanError, match=r"plan\.yaml:1"):
        formatted("plan.yaml", b"a: ]")


# --- convert ----------------------------------------------------------------------------------------------------------


def same(plan: Plan) -> dict[str, Any]:
    """What counts of a plan: without its provenance, and schemas without what makes no difference."""

    def section(one: Section | None) -> Any:
        if one is None:
            return None
        said = {"description": one.description, "title": one.name}
        schema = {key: value for key, value in one.schema.items() if key not in said or value != said[key]}
        return dataclasses.replace(one, schema=essence(schema))

    about = dataclasses.replace(plan, origin={})
    return {
        **dataclasses.asdict(about),
        "events": [section(event) for event in plan.events],
        **{name: section(getattr(plan, name)) for name in ("context", "identify", "group", "page")},
    }


def reread(value: Any) -> Plan:
    return itly.parse([Raw("plan.yaml", "plan", yaml_of(value))])


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=6).filter(
    lambda text: text.strip()
)
keywords = {
    "description": texts, "title": texts, "default": values, "examples": st.lists(values, max_size=2),
    "enum": st.lists(scalars, min_size=1, max_size=3, unique_by=json.dumps), "const": scalars,
    "minimum": st.integers(-5, 5), "maxLength": st.integers(0, 9), "pattern": st.sampled_from(["^a", "[0-9]+"]),
    "format": st.sampled_from(["email", "date"]), "x-pii": st.booleans() | names, "x-own": values,
    "deprecated": st.booleans(),
    "type": st.sampled_from(["string", "integer", "object", "null", ["string", "null"], ["null", "integer"], ["string", "integer", "null"]]),
}  # fmt: skip


def schemas_of(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    members = st.dictionaries(names, inner, max_size=3)
    objects = st.builds(
        lambda properties, number, additional, more: {
            "type": "object", "properties": properties, "required": list(properties)[:number], **additional, **more,
        },
        members, st.integers(0, 2),
        st.sampled_from([{}, {"additionalProperties": True}, {"additionalProperties": False}, {"additionalProperties": {"type": "string"}}]),
        st.fixed_dictionaries({}, optional={key: keywords[key] for key in ("description", "x-own")}),
    )  # fmt: skip
    arrays = st.builds(lambda items: {"type": "array", "items": items}, inner)
    return objects | arrays | st.builds(lambda one, two: {"anyOf": [one, two]}, inner, inner)


properties = st.recursive(st.fixed_dictionaries({}, optional=keywords), schemas_of, max_leaves=4)
sections = st.builds(
    lambda name, draft, schema, more: Section(
        name=name,
        schema={**schema, "$schema": URIS[draft]},
        user_id_property="user_id" if "user_id" in schema.get("properties", {}) else None,
        **more,
    ),
    names,
    st.sampled_from(["7", "2019-09", "2020-12"]),
    schemas_of(properties).filter(lambda schema: schema.get("type") == "object" or "anyOf" in schema),
    st.fixed_dictionaries(
        {},
        optional={
            "description": texts, "version": texts, "owner": texts, "tags": st.lists(texts, max_size=2).map(tuple),
            "status": st.sampled_from(["draft", "active", "deprecated", "removed"]),
            "since": st.dates().map(str), "expires": st.dates().map(str),
            "sources": st.lists(names, max_size=2).map(tuple), "no_lint": st.sampled_from([(), ("N001",)]),
            "examples": st.lists(st.dictionaries(names, values, max_size=2), max_size=2).map(tuple),
            "origin": st.dictionaries(names, names, max_size=2),
        },
    ),
)  # fmt: skip


@given(
    st.lists(sections, max_size=3, unique_by=lambda section: section.name),
    st.sampled_from(["off", "warn", "strict"]),
    names,
)
def test_any_plan_survives_being_written_as_a_document(events: list[Section], formats: Any, name: str) -> None:
    events.sort(key=lambda event: event.name)
    plan = Plan(name=name, version="1.0.0", source="python", formats=formats, events=tuple(events))

    assert same(reread(document(plan))) == same(plan)


FILES: dict[str, Any] = {
    "plan.json": samples.SEGMENT_V8,
    "old.json": samples.SEGMENT_V7,
    "rudder.json": samples.RUDDER_PLAN,
    "state.itlyrc": samples.ITLYRC,
    "sheet.csv": samples.SHEET,
    **samples.CODE,
}


@pytest.mark.parametrize("name", FILES)
def test_every_format_converts_into_ours(name: str, tmp_path: Path) -> None:
    content = FILES[name]
    (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")

    value = converted(tmp_path / name)

    before = load(tmp_path / name)
    after = reread(value)
    assert same(after) == same(before)
    assert value["plan"]["x-origin"]["provider"] == before.origin["provider"]
    assert "schema" not in value["events"]["Order Placed"] or name == "old.json"


@pytest.mark.parametrize("text", EXAMPLES)
def test_our_own_format_stays_as_it_is_written(text: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text if "itly:" in text else f"itly: 1\n{text}", "utf-8")
    value = read("plan.yaml", file.read_bytes()).value
    if "name" not in value:
        assert converted(file) == value


def test_several_files_become_one(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text("itly: 1\nplan: {name: Shop}\nx-own: 1\ntypes: {T: {type: string}}\n")
    (tmp_path / "a.yaml").write_text("name: A\nx-mine: 2\nproperties: {p: {type: T}}\n")

    assert converted(tmp_path) == {
        "itly": 1,
        "plan": {"name": "Shop"},
        "types": {"T": {"type": "string"}},
        "events": {"A": {"x-mine": 2, "properties": {"p": {"type": "T"}}}},
        "x-own": 1,
    }


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus is not beside this checkout")
@pytest.mark.parametrize("folder", ["itly-bundles", "itlyrc", "plans", "cloudevents", "iglu-central", "rudder-yaml"])
def test_real_plans_survive(folder: str) -> None:
    for place in [CORPUS / folder] if folder == "rudder-yaml" else sorted((CORPUS / folder).glob("*.json")):
        plan = load(place)
        after = reread(converted(place))
        assert same(dataclasses.replace(after, version=plan.version, name=plan.name)) == same(plan), place
