"""plan.schema.json, which editors use, says of a document what the reader says, as far as a schema can."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

import jsonschema
import pytest

from itly_core.plans.providers import itly
from itly_core.plans.starter import starter
from itly_core.plans.syntax import read
from tests.plans.test_docs import EXAMPLES

SCHEMA: dict[str, Any] = json.loads(files("itly_core.plans").joinpath("plan.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def accepts(text: str) -> bool:
    return VALIDATOR.is_valid(read("plan.yaml", text.encode()).value)


def test_it_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("text", [*EXAMPLES, starter("Shop", "analytics")])
def test_every_documented_example_is_accepted(text: str) -> None:
    VALIDATOR.validate(read("plan.yaml", text.encode()).value)


@pytest.mark.parametrize(
    ("name", "keys"),
    {
        "document": itly.PARTS,
        "event": itly.EVENT_KEYS,
        "eventFile": itly.EVENT_FILE_KEYS,
        "section": itly.SECTION_KEYS,
        "property": itly.PROPERTY_KEYS,
        "value": itly.VALUE_KEYS,
    }.items(),
)
def test_it_knows_the_keys_that_the_reader_knows(name: str, keys: frozenset[str]) -> None:
    assert SCHEMA["definitions"][name]["properties"].keys() == keys


def test_it_knows_the_keys_of_plan_and_defaults() -> None:
    parts = SCHEMA["definitions"]["document"]["properties"]

    assert parts["plan"]["properties"].keys() == itly.PLAN_KEYS
    assert parts["defaults"]["properties"].keys() == itly.DEFAULTS_KEYS


REFUSED = {
    "an unknown part": "itly: 1\nevnts: {}\n",
    "another version": "itly: 2\nevents: {}\n",
    "an unknown key of an event": "itly: 1\nevents: {A: {decription: x}}\n",
    "an unknown key of a property": "itly: 1\nevents: {A: {properties: {p: {typ: string}}}}\n",
    "an unknown key deep inside": "itly: 1\nevents: {A: {properties: {p: {items: {properties: {q: {typ: string}}}}}}}\n",
    "a property that says nothing": "itly: 1\nevents: {A: {properties: {p: }}}\n",
    "a list of required ones": "itly: 1\nevents: {A: {properties: {p: {required: [q]}}}}\n",
    "required where nothing can be missing": "itly: 1\nevents: {A: {properties: {p: {items: {required: true}}}}}\n",
    "an unknown status": "itly: 1\nevents: {A: {status: done}}\n",
    "no date": "itly: 1\nevents: {A: {since: soon}}\n",
    "tags that are one text": "itly: 1\nevents: {A: {tags: ops}}\n",
    "an empty enum": "itly: 1\nevents: {A: {properties: {p: {enum: []}}}}\n",
    "schema beside properties": "itly: 1\nevents: {A: {properties: {}, schema: {}}}\n",
    "a python name that is none": "itly: 1\nevents: {A: {python_name: a-b}}\n",
    "an unknown kind of formats": "itly: 1\ndefaults: {formats: maybe}\nevents: {}\n",
    "a status of a section": "itly: 1\nidentify: {status: draft}\n",
    "a type that is called like one of JSON Schema": "itly: 1\ntypes: {string: {}}\n",
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED.keys())
def test_what_it_can_say_it_refuses(text: str) -> None:
    assert not accepts(text)
