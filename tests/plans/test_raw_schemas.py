"""Plans that are nothing but JSON Schemas, ours and those of the corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from itly_core.errors import PlanError
from itly_core.plans import Plan, load
from itly_core.validation import compile_schema

CORPUS = Path(__file__).parents[3] / "shared" / "corpus"
BUNDLES = sorted(CORPUS.glob("itly-bundles/*.json")) + sorted(CORPUS.glob("iglu-central/*.json"))
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
IGLU = "http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#"

WITH_ID = {"type": "object", "properties": {"user_id": {"type": "string"}}}


def bundle(tmp_path: Path, schemas: Any, name: str = "bundle.json") -> Plan:
    (tmp_path / name).write_text(json.dumps(schemas), "utf-8")
    return load(tmp_path / name)


def test_a_file_of_schemas_by_event_name_is_recognised(tmp_path: Path) -> None:
    plan = bundle(
        tmp_path, {"Order Placed": {**WITH_ID, "description": "Paid."}, "context": WITH_ID, "page": {"type": "object"}}
    )

    assert [(event.name, event.description, event.user_id_property) for event in plan.events] == [
        ("Order Placed", "Paid.", "user_id")
    ]
    assert plan.events[0].schema == {**WITH_ID, "description": "Paid.", "$schema": DRAFT_7}
    assert plan.context is not None
    assert plan.context.user_id_property is None
    assert plan.page is not None
    assert plan.origin == {"provider": "schemas"}


def test_what_describes_the_schemas_may_stand_around_them(tmp_path: Path) -> None:
    plan = bundle(tmp_path, {"repo": "shop", "schemas": {"schemas": WITH_ID, "properties": WITH_ID}})

    assert [event.name for event in plan.events] == ["properties", "schemas"]


def test_the_highest_version_of_a_name_counts(tmp_path: Path) -> None:
    versions = {f"a/{version}": {"type": "object", "title": version} for version in ("1-0-9", "1-0-10", "1-0-2")}
    plan = bundle(tmp_path, {**versions, "page/1-0-0": {"type": "object"}, "a/b": {"type": "object"}})

    assert [(event.name, event.version, event.schema.get("title")) for event in plan.events] == [
        ("a", "1.0.10", "1-0-10"), ("a/b", "", None), ("page", "1.0.0", None),
    ]  # fmt: skip
    assert plan.page is None


def test_a_folder_of_schemas_is_recognised(tmp_path: Path) -> None:
    files = {
        "Order Placed.json": {"$schema": IGLU, "self": {"version": "2-0-1"}, "type": "object"},
        "identify.json": WITH_ID,
        "deep/Signed In.json": {"$id": "https://iterative.ly/company/c/event/e/version/1.2.3", "type": "object"},
        "basket/jsonschema/1-0-0.json": {"type": "object"},
        "basket/jsonschema/1-1-0.json": {"type": "object", "title": "new"},
    }
    for name, schema in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(json.dumps(schema), "utf-8")

    plan = load(tmp_path)

    assert [(event.name, event.version) for event in plan.events] == [
        ("Order Placed", "2.0.1"), ("Signed In", "1.2.3"), ("basket", "1.1.0"),
    ]  # fmt: skip
    assert plan.identify is not None


def test_a_single_schema_is_an_event_named_like_its_file(tmp_path: Path) -> None:
    assert [event.name for event in bundle(tmp_path, WITH_ID, "Order Placed.json").events] == ["Order Placed"]


def test_a_schema_of_schemas_takes_its_meta_schema_along(tmp_path: Path) -> None:
    given = {
        "$schema": IGLU,
        "type": "object",
        "properties": {"of": {"$ref": "http://json-schema.org/draft-04/schema#"}},
    }
    schema = bundle(tmp_path, {"meta": given}).events[0].schema
    check = compile_schema(schema)

    assert check.is_valid({"of": {"type": "string", "properties": {"a": {"minimum": 1}}}})
    assert not check.is_valid({"of": {"type": "string", "properties": {"a": {"minimum": "1"}}}})


BAD_BUNDLES = {
    "a schema that is none": (
        '{"A": {"type": "object"},\n"B": {"type": "object",\n"required": "b"}}', 3, "B.required", "is not of type 'array'"),
    "an unknown draft": (
        '{"A":\n{"$schema": "https://x.example/s"}}', 2, "A.$schema", "unknown JSON Schema draft"),
    "a remote reference": (
        '{"A": {"type": "object", "properties":\n{"b": {"$ref": "https://x.example/s"}}}}', 2, "A.properties.b.$ref", "outside"),
    "an event without a name": ('{"": {"type": "object"}}', 1, "", "must not be empty"),
    "a table of something else": ('{"A": {"type": "object"}, "B": 1}', 1, "", "no plan that is known here"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "line", "path", "message"), BAD_BUNDLES.values(), ids=BAD_BUNDLES.keys())
def test_a_bad_bundle_names_its_line_and_key(text: str, line: int, path: str, message: str, tmp_path: Path) -> None:
    file = tmp_path / "bundle.json"
    file.write_text(text, "utf-8")

    with pytest.raises(PlanError) as caught:
        load(file)

    assert (caught.value.location, caught.value.path) == (f"{file}:{line}", path)
    assert message in caught.value.message


def test_an_event_in_two_files_is_an_error(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "Order.json").write_text('{"type": "object"}', "utf-8")

    with pytest.raises(PlanError, match=r"b/Order\.json:1: 'Order' is already given in .*a/Order\.json:1"):
        load(tmp_path)


# --- real plans -------------------------------------------------------------------------------------------------------

MOVED = ("$schema", "$id", "self", "title", "description", "definitions")  # said by the event, not by its schema
needs_corpus = pytest.mark.skipif(not BUNDLES, reason="the corpus is not beside this checkout")


@needs_corpus
@pytest.mark.parametrize("file", BUNDLES, ids=lambda file: file.stem)
def test_a_real_bundle_gives_every_event_its_own_schema(file: Path) -> None:
    raw: dict[str, Any] = json.loads(file.read_bytes())["schemas"]
    plan = load(file)
    found = {event.name: event for event in plan.events}
    sections = {name for name in ("context", "identify", "group", "page") if getattr(plan, name)}

    assert found.keys() | sections == {key.rpartition("/")[0] or key for key in raw}
    for name, event in found.items():
        key = name if name in raw else f"{name}/{event.version.replace('.', '-')}"
        kept = {keyword: value for keyword, value in event.schema.items() if keyword not in MOVED}
        if "allOf" not in kept:  # the one schema of schemas has its references turned inside
            assert kept == {keyword: value for keyword, value in raw[key].items() if keyword not in MOVED}
        assert event.description == raw[key].get("description", "")
        jsonschema.validators.validator_for(event.schema).check_schema(event.schema)
