"""What a plan of our own format resolves to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import PlanError
from itly_core.plans import Plan, Section, load
from itly_core.plans.providers import itly
from itly_core.plans.raw import Raw
from itly_core.validation import compile_schema


def plan_of(text: str, name: str = "plan.yaml") -> Plan:
    return itly.parse([Raw(name, "plan", text.encode())])


def property_of(definition: str, head: str = "itly: 1") -> Any:
    """The schema that one property becomes."""
    plan = plan_of(f"{head}\nevents:\n  Started:\n    properties:\n      cpu: {definition}\n")
    return plan.events[0].schema["properties"]["cpu"]


def test_an_event_keeps_all_that_is_said_of_it() -> None:
    plan = plan_of("""
itly: 1
plan: {name: Shop, version: 3.1.0, owner: data, source: python}
defaults: {formats: strict}
events:
  Process Started:
    description: A worker came up.
    version: 1.2.0
    owner: runtime
    status: deprecated
    since: 2026-01-10
    expires: 2027-01-10
    tags: [ops, 7]
    sources: [python]
    python_name: started
    examples: [{cpu: 8}]
    no_lint: [N004]
    x-origin: {id: 1}
    properties: {cpu: {type: integer, required: true}}
""")

    assert plan == Plan(
        name="Shop",
        version="3.1.0",
        source="python",
        owner="data",
        formats="strict",
        origin={"provider": "itly"},
        events=(
            Section(
                name="Process Started",
                description="A worker came up.",
                version="1.2.0",
                owner="runtime",
                status="deprecated",
                since="2026-01-10",
                expires="2027-01-10",
                tags=("ops", "7"),
                sources=("python",),
                python_name="started",
                examples=({"cpu": 8},),
                no_lint=("N004",),
                schema={
                    "$schema": "https://json-schema.org/draft/2020-12/schema",
                    "type": "object",
                    "properties": {"cpu": {"type": "integer"}},
                    "required": ["cpu"],
                    "additionalProperties": False,
                },
            ),
        ),
    )


PROPERTIES = {
    "any value": ("{}", {}),
    "any type": ("{type: any, description: x}", {"description": "x"}),
    "a type": ("{type: integer, minimum: 1}", {"type": "integer", "minimum": 1}),
    "required leaves no trace": ("{type: string, required: true}", {"type": "string"}),
    "nullable": ("{type: string, nullable: true}", {"type": ["string", "null"]}),
    "nullable: false": ("{type: string, nullable: false}", {"type": "string"}),
    "nullable enum": ("{enum: [eu, us], nullable: true}", {"enum": ["eu", "us", None]}),
    "nullable enum with null": ("{enum: [eu, null], nullable: true}", {"enum": ["eu", None]}),
    "nullable typed enum": ("{type: string, enum: [a], nullable: true}", {"type": ["string", "null"], "enum": ["a", None]}),
    "nullable constant": ("{const: 4, nullable: true}", {"enum": [4, None]}),
    "nullable union": ("{type: [string, integer], nullable: true}", {"type": ["string", "integer", "null"]}),
    "union with null": ("{type: [string, null]}", {"type": ["string", "null"]}),
    "null": ("{type: null}", {"type": "null"}),
    "union with any": ("{type: [string, any]}", {}),
    "constant": ("{const: 4}", {"const": 4}),
    "constant null": ("{const: null}", {"const": None}),
    "enum of words YAML 1.1 takes for booleans": ("{enum: [yes, no]}", {"enum": ["yes", "no"]}),
    "list of": ("{type: 'string[]'}", {"type": "array", "items": {"type": "string"}}),
    "list or not": (
        "{type: [string, 'string[]']}",
        {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
    "items": ("{items: {type: string, nullable: true}}", {"type": "array", "items": {"type": ["string", "null"]}}),
    "nested": (
        "{properties: {a: {type: string, required: true}}, description: x}",
        {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False,
         "description": "x"}),
    "open object": ("{type: object}", {"type": "object"}),
    "map": ("{additional_properties: {type: integer}}",
            {"type": "object", "properties": {}, "additionalProperties": {"type": "integer"}}),
    "example": ("{example: 1, examples: [2]}", {"examples": [2, 1]}),
    "pii": ("{type: string, pii: email}", {"type": "string", "x-pii": "email"}),
    "own key": ("{type: string, x-note: {a: 1}}", {"type": "string", "x-note": {"a": 1}}),
}  # fmt: skip


@pytest.mark.parametrize(("definition", "schema"), PROPERTIES.values(), ids=PROPERTIES.keys())
def test_a_property_becomes_json_schema(definition: str, schema: dict[str, Any]) -> None:
    assert property_of(definition) == schema


TYPES = "itly: 1\ntypes:\n  Code: {type: string}\n  Pair: {type: 'Code[]'}\n  Other: {type: integer}\n"


def test_a_type_is_referred_to_and_brings_what_it_uses() -> None:
    schema = plan_of(f"{TYPES}events: {{A: {{properties: {{a: {{type: Pair, description: x}}}}}}}}").events[0].schema

    assert schema["properties"]["a"] == {"$ref": "#/$defs/Pair", "description": "x"}
    assert schema["$defs"] == {
        "Code": {"type": "string"},
        "Pair": {"type": "array", "items": {"$ref": "#/$defs/Code"}},
    }


@pytest.mark.parametrize(
    ("definition", "schema"),
    [
        ("{type: Code, nullable: true}", {"anyOf": [{"$ref": "#/$defs/Code"}, {"type": "null"}]}),
        ("{type: [Code, Other]}", {"anyOf": [{"$ref": "#/$defs/Code"}, {"$ref": "#/$defs/Other"}]}),
        ("{type: 'Code[]', nullable: true}", {"type": ["array", "null"], "items": {"$ref": "#/$defs/Code"}}),
    ],
)
def test_types_combine(definition: str, schema: dict[str, Any]) -> None:
    assert property_of(definition, TYPES) == schema


@pytest.mark.parametrize("draft", ["4", "6", "7", "2019-09", "2020-12"])
def test_a_plan_means_the_same_in_every_draft(draft: str) -> None:
    plan = plan_of(f"""
itly: 1
defaults: {{draft: "{draft}"}}
types:
  Code: {{type: string, maxLength: 3}}
  Tree: {{properties: {{children: {{type: "Tree[]"}}}}}}
events:
  A:
    properties:
      code: {{type: Code, minLength: 2}}
      rev: {{const: 4}}
      tree: {{type: Tree, nullable: true}}
""")
    check = compile_schema(plan.events[0].schema)

    assert draft in plan.events[0].schema["$schema"]
    assert check.is_valid({"code": "ab", "rev": 4, "tree": {"children": [{}, {"children": []}]}})
    assert check.is_valid({"tree": None})
    for wrong in (
        {"code": "a"},
        {"code": "abcd"},
        {"rev": 5},
        {"tree": {"children": [1]}},
        {"tree": {"x": 1}},
        {"x": 1},
    ):
        assert not check.is_valid(wrong)


def test_additional_properties_follow_the_default_and_each_object_may_differ() -> None:
    plan = plan_of("""
itly: 1
defaults: {additional_properties: true}
events:
  Open: {properties: {inner: {properties: {}}}}
  Closed: {additional_properties: false}
  Typed: {additional_properties: {type: integer}}
""")
    schemas = {event.name: event.schema for event in plan.events}

    assert schemas["Open"]["additionalProperties"] is True
    assert schemas["Open"]["properties"]["inner"]["additionalProperties"] is True
    assert schemas["Closed"]["additionalProperties"] is False
    assert schemas["Typed"]["additionalProperties"] == {"type": "integer"}


def test_an_event_with_nothing_after_its_name_has_no_properties() -> None:
    schema = plan_of("itly: 1\nevents:\n  Signed Out:\n").events[0].schema

    assert (schema["properties"], schema["additionalProperties"]) == ({}, False)


DRAFTS = {
    "none": ("itly: 1", "{type: object}", "http://json-schema.org/draft-07/schema#"),
    "the plan's": ("itly: 1\ndefaults: {draft: 2019-09}", "{type: object}", "https://json-schema.org/draft/2019-09/schema"),
    "its own": (
        "itly: 1\ndefaults: {draft: 2019-09}", "{$schema: 'http://json-schema.org/draft-04/schema'}",
        "http://json-schema.org/draft-04/schema#"),
    "draft 7 spelled with https": (
        "itly: 1", "{$schema: 'https://json-schema.org/draft-07/schema#'}", "http://json-schema.org/draft-07/schema#"),
    "Iglu's": (
        "itly: 1",
        "{$schema: 'http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#'}",
        "http://json-schema.org/draft-04/schema#"),
}  # fmt: skip


@pytest.mark.parametrize(("head", "schema", "address"), DRAFTS.values(), ids=DRAFTS.keys())
def test_a_raw_schema_has_one_spelling_of_its_draft(head: str, schema: str, address: str) -> None:
    plan = plan_of(f"{head}\nevents:\n  A: {{schema: {schema}}}\n")

    assert plan.events[0].schema["$schema"] == address


@pytest.mark.parametrize("name", ["4", "draft-04", "draft4", "7", "draft-07", "2020-12"])
def test_a_draft_may_be_named_as_people_do(name: str) -> None:
    plan_of(f"itly: 1\ndefaults: {{draft: {name}}}\nevents: {{A: {{}}}}")


def test_the_sections_stand_beside_the_events() -> None:
    plan = plan_of("itly: 1\ncontext: {schema: {type: object}}\nidentify: {properties: {a: {}}}\ngroup: {}\n")

    assert plan.context is not None
    assert plan.context.schema == {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object"}
    assert plan.identify is not None
    assert plan.identify.schema["properties"] == {"a": {}}
    assert plan.group is not None
    assert plan.page is None


IDENTITIES = {
    "a property of that name": ("{properties: {user_id: {type: string}}}", "user_id"),
    "in a raw schema": ("{schema: {properties: {user_id: {type: string}}}}", "user_id"),
    "a property the plan names": ("{identity: {user_id: who}, properties: {who: {}, user_id: {}}}", "who"),
    "none": ("{properties: {who: {}}}", None),
}  # fmt: skip


@pytest.mark.parametrize(("event", "name"), IDENTITIES.values(), ids=IDENTITIES.keys())
def test_the_user_id_property(event: str, name: str | None) -> None:
    assert plan_of(f"itly: 1\nevents: {{A: {event}}}").events[0].user_id_property == name


def test_context_has_no_user_id_of_its_own() -> None:
    context = plan_of("itly: 1\ncontext: {properties: {user_id: {type: string}}}").context

    assert context is not None
    assert context.user_id_property is None


# --- directories ------------------------------------------------------------------------------------------------------


def write(directory: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, "utf-8")
    return directory


def test_a_directory_is_one_plan(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "plan.yaml": "itly: 1\nplan: {name: Shop, version: 1.0.0}\ntypes: {Code: {type: string}}\n",
            "sections.json": '{"itly": 1, "context": {"properties": {"v": {"type": "string"}}}}',
            "events/b.yaml": "name: B\nproperties: {c: {type: Code}}\n",
            "events/deep/a.json": '{"itly": 1, "name": "A", "description": "first"}',
            "more.yml": "events:\n  C:\n  D: {}\n",
            ".hidden/e.yaml": "name: E\n",
            ".draft.yaml": "not: [a plan",
            "README.md": "no plan either",
        },
    )

    plan = load(tmp_path)

    assert (plan.name, plan.version) == ("Shop", "1.0.0")
    assert [event.name for event in plan.events] == ["A", "B", "C", "D"]
    assert plan.context is not None
    assert plan.events[1].schema["$defs"] == {"Code": {"type": "string"}}


BAD_DIRECTORIES = {
    "an event in two files": (
        {"a.yaml": "itly: 1\nevents: {A: {}}\n", "b.yaml": "description: x\nname: A\n"},
        "b.yaml:1", "'A' is already given in"),
    "a part in two files": (
        {"a.yaml": "itly: 1\nplan: {name: A}\n", "b.yaml": "plan: {name: B}\n"},
        "b.yaml:1", "'plan' is already given in"),
    "a fault in an event's file": (
        {"a.yaml": "itly: 1\n", "events/b.yaml": "name: B\nproperties:\n  cpu: {type: int}\n"},
        "events/b.yaml:3", "unknown type 'int'"),
    "an unknown key in an event's file": (
        {"a.yaml": "itly: 1\n", "b.yaml": "name: B\ntypes: {}\n"}, "b.yaml:2", "unknown key 'types'"),
    "an event without its name": (
        {"a.yaml": "itly: 1\n", "b.yaml": "description: B\n"}, "b.yaml:1", "unknown key 'description'"),
    "an empty file": ({"a.yaml": "itly: 1\n", "b.yaml": ""}, "b.yaml:1", "is empty"),
    "no file": ({"README.md": ""}, "", "no plan in this directory"),
}  # fmt: skip


@pytest.mark.parametrize(("files", "location", "message"), BAD_DIRECTORIES.values(), ids=BAD_DIRECTORIES.keys())
def test_a_bad_directory_names_the_file(files: dict[str, str], location: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load(write(tmp_path, files))

    assert caught.value.location == (f"{tmp_path}/{location}" if location else str(tmp_path))
    assert message in caught.value.message


# --- what loading adds ------------------------------------------------------------------------------------------------


def test_events_of_other_sources_are_left_out(tmp_path: Path) -> None:
    events = "A: {}, B: {sources: [python, web]}, C: {sources: [web]}"
    write(tmp_path, {"plan.yaml": f"itly: 1\nplan: {{source: python}}\nevents: {{{events}}}"})

    def names(source: str) -> list[str]:
        return [event.name for event in load("plan.yaml", source=source, base=tmp_path).events]

    assert names("") == ["A", "B"]
    assert names("web") == ["A", "B", "C"]
    assert names("worker") == ["A"]


def test_a_plan_without_a_version_has_one_that_follows_its_content(tmp_path: Path) -> None:
    def version(text: str, folder: str) -> str:
        return load(write(tmp_path / folder, {"plan.yaml": text}) / "plan.yaml").version

    first = version("itly: 1\nevents: {A: {}}", "one")

    assert first == version("# the same\nitly: 1\nevents:\n  A:\n", "two")
    assert first != version("itly: 1\nevents: {A: {description: x}}", "one")


def test_a_plan_without_a_name_is_called_like_its_source_or_file(tmp_path: Path) -> None:
    file = write(tmp_path, {"shop.yaml": "itly: 1"}) / "shop.yaml"

    assert load(file).name == "shop"
    assert load(file, source="python").name == "python"


words = st.text("abcXYZ _-$é状", min_size=1, max_size=8).filter(str.strip)
leaves = st.sampled_from([
    {"type": "string", "required": True}, {"type": "integer", "nullable": True}, {"enum": ["a", 1, None]}, {"const": 1.5},
    {"type": ["string", "T"]}, {"type": "T[]", "description": "no"}, {}, {"additional_properties": True},
])  # fmt: skip
inner = leaves.map(lambda leaf: {key: value for key, value in leaf.items() if key != "required"})
definitions = st.recursive(
    leaves,
    lambda below: st.builds(lambda props: {"properties": props}, st.dictionaries(words, below, max_size=3)),
    max_leaves=8,
) | st.builds(lambda item: {"type": "array", "items": item}, inner)
plans = st.builds(
    lambda events: {
        "itly": 1,
        "plan": {"name": "no", "version": "1.0"},
        "types": {"T": {"type": "string"}},
        "events": {name: {"properties": properties} for name, properties in events.items()},
    },
    st.dictionaries(words, st.dictionaries(words, definitions, max_size=4), max_size=4),
)


@given(plans)
def test_a_plan_is_the_same_in_yaml_and_in_json(document: dict[str, Any]) -> None:
    as_yaml = plan_of(yaml.safe_dump(document, sort_keys=False, allow_unicode=True))
    as_json = plan_of(json.dumps(document), "plan.json")

    assert as_yaml == as_json
    assert len(as_yaml.events) == len(document["events"])
