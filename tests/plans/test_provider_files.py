"""Plans in the files that other tools keep: what is read of each, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from itly_core.errors import ConfigError, PlanError
from itly_core.plans import Plan, load
from tests.plans import samples
from tests.plans.recorded import AVO


def written(directory: Path, files: Mapping[str, Any]) -> Path:
    for name, content in files.items():
        file = directory / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return directory


def loaded(directory: Path, files: Mapping[str, Any], **options: Any) -> Plan:
    written(directory, files)
    return load(directory / next(iter(files)) if len(files) == 1 else directory, **options)


# --- Segment ----------------------------------------------------------------------------------------------------------


def test_typewriter_8(tmp_path: Path) -> None:
    plan = loaded(tmp_path, {"plan.json": samples.SEGMENT_V8})

    assert (plan.name, plan.origin) == ("Shop", {"provider": "segment", "id": "tp_1"})
    assert plan.events[0].description == "Somebody bought."
    assert dict(plan.events[0].schema) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {
            "id": {"type": "string"},
            "properties": {"type": "object", "properties": {"id": {"type": "string"}}},
        },
        "required": ["id"],
    }


def test_typewriter_7(tmp_path: Path) -> None:
    plan = loaded(tmp_path, {"plan.json": samples.SEGMENT_V7})

    assert (plan.name, plan.events[0].version, plan.events[0].tags) == ("Shop", "3", ("area:shop",))
    assert plan.events[0].schema["properties"] == {
        "id": {"$ref": "#/definitions/id"},
        "parent": {"$ref": "#/properties/id"},
    }
    assert plan.identify is not None
    assert plan.identify.schema["properties"] == {"plan": {"type": "string"}}


# --- RudderStack ------------------------------------------------------------------------------------------------------


def test_ruddertypers_plan(tmp_path: Path) -> None:
    plan = loaded(tmp_path, {"plan.json": samples.RUDDER_PLAN})

    assert (plan.name, plan.version, plan.origin["provider"]) == ("Shop", "2", "rudderstack")
    assert [event.name for event in plan.events] == ["Order Placed"]
    assert plan.page is not None
    assert plan.page.schema["properties"] == {"a": {}}


def test_a_rudder_cli_project(tmp_path: Path) -> None:
    plan = loaded(tmp_path, samples.RUDDER_CLI_OLD)
    placed = plan.events[0]

    assert (plan.name, plan.origin, placed.tags) == ("Shop", {"provider": "rudder-cli", "id": "shop"}, ("Buying",))
    assert placed.schema["properties"] == {
        "Order Id": {"type": "string", "minLength": 3, "description": "Which order."},
        "kind": {"type": "string", "enum": ["gift", "normal"]},
        "money": {"$ref": "#/$defs/Money"},
        "monies": {"type": "array", "items": {"$ref": "#/$defs/Money"}},
        "tags": {"type": "array", "items": {"type": ["string", "integer"]}},
        "address": {
            "type": "object",
            "properties": {"note": {"type": "string"}},
            "required": ["note"],
            "additionalProperties": False,
        },
    }
    assert placed.schema["$defs"]["Money"]["properties"] == {
        "total": {"type": ["number", "null"]},
        "money": {"$ref": "#/$defs/Money"},
    }
    assert plan.identify is not None
    assert plan.identify.schema["additionalProperties"] is True


@pytest.mark.parametrize(
    ("properties", "is_valid"),
    [
        ({"Order Id": "o-1", "kind": "gift", "note": "n"}, True),
        ({"Order Id": "o-1", "kind": "gift"}, False),
        ({"Order Id": "o-1", "kind": "normal", "total": None}, True),
        ({"Order Id": "o-1", "kind": "normal"}, False),
        ({"Order Id": "o-1", "kind": "gift", "note": "n", "other": 1}, False),
        ({"Order Id": "o-1", "kind": "gift", "note": "n", "total": 1}, False),
    ],
)
def test_variants_ask_for_the_properties_of_their_case(
    properties: dict[str, Any], is_valid: bool, tmp_path: Path
) -> None:
    placed = loaded(tmp_path, samples.RUDDER_CLI_OLD).events[0]

    assert jsonschema.Draft201909Validator(placed.schema).is_valid(properties) == is_valid


@pytest.mark.parametrize(
    ("spoilt", "by", "path"),
    [
        (
            "- {display_name: Gift, match: [gift], properties: [",
            "- null\n            - {match: [x], properties: [",
            "cases[0]",
        ),
        ('default: [{$ref: "#/properties/shop/total", required: true}]', "default: 3", "default"),
    ],
)
def test_a_variant_of_a_rudder_cli_project_that_is_none_is_named(
    tmp_path: Path, spoilt: str, by: str, path: str
) -> None:
    files = {name: text.replace(spoilt, by) for name, text in samples.RUDDER_CLI_OLD.items()}

    with pytest.raises(PlanError, match="must be an object") as raised:
        loaded(tmp_path, files)
    assert raised.value.path.endswith(path)


def test_a_rudder_cli_project_of_version_1(tmp_path: Path) -> None:
    placed = loaded(tmp_path, samples.RUDDER_CLI_NEW).events[0]

    assert placed.tags == ("buy",)
    assert dict(placed.schema) == {
        "$schema": "https://json-schema.org/draft/2019-09/schema",
        "type": "object",
        "properties": {
            "Order Id": {"type": "string", "minLength": 3},
            "total": {"type": ["number", "null"]},
            "money": {"$ref": "#/$defs/Money"},
            "tags": {"type": "array", "items": {"type": "string"}},
        },
        "required": ["Order Id"],
        "additionalProperties": True,
        "$defs": {"Money": {"type": "number", "minimum": 0}},
    }


def test_several_tracking_plans_are_sources(tmp_path: Path) -> None:
    other = (
        samples.RUDDER_CLI_NEW["plan.yaml"].replace("id: shop", "id: other", 1).replace("#event:placed", "#event:paid")
    )
    events = samples.RUDDER_CLI_NEW["catalog/events.yaml"].replace("[{id", "[{id: paid, name: Order Paid}, {id")
    written(tmp_path, {**samples.RUDDER_CLI_NEW, "catalog/events.yaml": events, "other.yaml": other})

    assert {event.name: event.sources for event in load(tmp_path).events} == {
        "Order Paid": ("other",),
        "Order Placed": ("shop",),
    }
    assert [event.name for event in load({"plan": str(tmp_path), "filter": "other"}).events] == ["Order Paid"]


def test_a_catalogue_without_a_plan_has_open_events(tmp_path: Path) -> None:
    plan = loaded(tmp_path, {"events.yaml": samples.RUDDER_CLI_OLD["events.yaml"]})

    assert [(event.name, event.tags) for event in plan.events] == [("Order Placed", ("buy",))]
    assert "properties" not in plan.events[0].schema


def test_a_reference_to_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=r"plan\.yaml:11: .*'#event:placed' leads to nothing .* whole directory"):
        loaded(tmp_path, {"plan.yaml": samples.RUDDER_CLI_NEW["plan.yaml"]})


# --- Avo --------------------------------------------------------------------------------------------------------------


def test_an_avo_export_and_its_webhook(tmp_path: Path) -> None:
    export = next(iter(AVO.pages.values()))

    for name, document in {"export.json": export, "webhook.json": {"schemaId": "s", "trackingPlan": export}}.items():
        plan = loaded(tmp_path, {name: document})
        assert (plan.name, plan.origin["provider"], len(plan.events)) == ("Shop:main", "avo", 2)


# --- Iteratively ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [".itlyrc", "state.itlyrc"])
def test_an_itlyrc(name: str, tmp_path: Path) -> None:
    plan = loaded(tmp_path, {name: samples.ITLYRC})

    assert plan.version == "12.0.0"
    assert plan.origin == {"provider": "iteratively", "company": "c1", "source": "s1"}
    assert plan.events[0].schema["required"] == ["id", "kind", "rev"]
    assert plan.events[0].schema["properties"] == {
        "id": {"type": "string", "description": "Which."},
        "count": {"type": "integer"},
        "gift": {"type": "boolean"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "address": {"type": "object"},
        "kind": {"enum": ["a", "b"]},
        "rev": {"const": 4},
    }


def test_an_itlyrc_of_ids_alone_says_where_the_schemas_are(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="holds no events, as since 2021: pull from the code"):
        loaded(tmp_path, {".itlyrc": '{"CompanyId": "c", "SourceId": "s", "Version": "1.0.0"}'})


@pytest.mark.parametrize("name", samples.CODE)
def test_generated_code_is_read_and_not_run(name: str, tmp_path: Path) -> None:
    plan = loaded(tmp_path, {name: samples.CODE[name]})
    placed = plan.events[0]

    assert (placed.name, placed.version, placed.origin) == ("Order Placed", "1.2.0", {"id": "e1"})
    assert placed.description == 'Say "buy", it\'s $5.\nNow.'
    assert dict(placed.schema) == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "properties": {"id": {"type": "string"}},
        "additionalProperties": False,
        "required": ["id"],
    }
    assert plan.context is not None
    assert len(plan.events) == 1


def test_code_without_schemas_says_so(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="holds no schemas, as code of Ampli never does"):
        loaded(tmp_path, {"ampli.py": "class SignedIn(BaseEvent):\n    pass\n"})


# --- tables -----------------------------------------------------------------------------------------------------------


def test_amplitudes_files(tmp_path: Path) -> None:
    plan = loaded(tmp_path, {"events.csv": samples.AMPLITUDE_EVENTS, "users.csv": samples.AMPLITUDE_USERS})
    placed, signed = plan.events

    assert (placed.name, placed.owner, placed.description) == (
        "Order Placed",
        "ann@shop.example",
        "Somebody bought, at last.",
    )
    assert (placed.tags, placed.sources, signed.sources) == (
        ("shop", "money", "Checkout"),
        ("Backend", "Web"),
        ("Web",),
    )
    assert placed.schema["properties"] == {
        "currency": {"type": "string", "pattern": "^[A-Z]{3}$", "description": "In which."},
        "total": {"type": "number", "description": "What it costs."},
        "count": {"type": "integer", "minimum": 1, "maximum": 99},
        "tags": {
            "type": "array",
            "items": {"type": "string", "minLength": 2},
            "minItems": 1,
            "maxItems": 5,
            "uniqueItems": True,
        },
        "kind": {"enum": ["gift", "normal"]},
        "rev": {"const": 4},
    }
    assert placed.schema["required"] == ["count", "currency", "rev", "total"]
    assert plan.identify is not None
    assert plan.identify.schema["properties"] == {
        "plan": {"enum": ["free", "pro"], "description": "What they pay for."},
        "devices": {"type": "array", "items": {"type": "string"}},
    }


@pytest.mark.parametrize("suffix", ["csv", "tsv", "txt"])
def test_a_sheet(suffix: str, tmp_path: Path) -> None:
    text = samples.SHEET if suffix != "tsv" else samples.SHEET.replace('"1, 2, 3"', "1| 2| 3").replace(
        '"free, pro"', "free| pro"
    ).replace(",", "\t").replace("|", ",")  # fmt: skip

    plan = loaded(tmp_path, {f"plan.{suffix}": text})
    placed = plan.events[0]

    assert (placed.name, placed.description, placed.owner) == ("Order Placed", "Somebody bought.", "shop")
    assert placed.schema["properties"] == {
        "id": {"type": "string", "description": "Which order.", "examples": ["o-1"]},
        "count": {"type": "integer", "enum": [1, 2, 3], "examples": [2]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "placed at": {"type": "string", "format": "date-time"},
        "email": {"type": "string", "format": "email", "x-pii": "email"},
    }
    assert (placed.schema["required"], [event.name for event in plan.events]) == (["id"], ["Order Placed", "Signed In"])
    assert plan.identify is not None


BAD_TABLES = {
    "an unknown type": (
        "event,property,type\nA,p,strng\n",
        r"bad\.csv:2: type: unknown type 'strng'; did you mean 'string'",
    ),
    "a property twice": ("event,property\nA,p\n,p\n", r"bad\.csv:3: .*'p' of 'A' is given twice"),
    "no event": ("event,property\n,p\n", r"bad\.csv:2: event: names no event"),
    "neither yes nor no": ("event,property,required\nA,p,perhaps\n", r"bad\.csv:2: required: must be yes or no"),
    "no number": ("event,property,type,enum\nA,p,integer,one\n", r"bad\.csv:2: 'one' is no integer"),
    "a quote that does not end": ('event,property\nA,"p\n', r"bad\.csv:2: is not well-formed CSV"),
    "no column of events": ("a,b\n1,2\n", "is not a table with a column `event`"),
    "an unknown kind of call": (
        "event,property,kind\nA,p,trck\n",
        r"unknown kind of call 'trck'; did you mean 'track'",
    ),
    "an unknown group": (
        "Object type,Object name,Property group names,Event property name\nEvent,A,Money,p\n",
        "there is no property group 'Money'",
    ),
    "no constraint": (
        "Object type,Object name,Event property name,Property value type,Number property value min\nEvent,A,p,number,low\n",
        "must be a number, not 'low'",
    ),
}


@pytest.mark.parametrize(("text", "message"), BAD_TABLES.values(), ids=BAD_TABLES.keys())
def test_a_wrong_line_of_a_table_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(PlanError, match=message):
        loaded(tmp_path, {"bad.csv": text})


# --- Iglu -------------------------------------------------------------------------------------------------------------


def iglu(vendor: str, name: str, version: str) -> dict[str, Any]:
    return {
        "$schema": "http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#",
        "description": f"About {name}.",
        "self": {"vendor": vendor, "name": name, "format": "jsonschema", "version": version},
        "type": "object",
        "properties": {"n": {"type": "integer", "minimum": 0, "exclusiveMinimum": True}},
    }


def test_an_iglu_directory(tmp_path: Path) -> None:
    for name, version in (("order", "1-0-9"), ("order", "1-0-10"), ("page", "1-0-0")):
        written(tmp_path, {f"schemas/com.acme/{name}/jsonschema/{version}": iglu("com.acme", name, version)})

    plan = load(tmp_path)

    assert (plan.name, plan.origin) == ("com.acme", {"provider": "iglu"})
    assert [(event.name, event.version, event.description) for event in plan.events] == [
        ("order", "1.0.10", "About order."),
        ("page", "1.0.0", "About page."),
    ]
    assert plan.events[0].schema["$schema"] == "http://json-schema.org/draft-04/schema#"
    assert plan.events[0].origin == {"id": "iglu:com.acme/order/jsonschema/1-0-10"}


def test_schemas_of_two_vendors_with_one_name_are_refused(tmp_path: Path) -> None:
    for vendor in ("com.acme", "com.shop"):
        written(tmp_path, {f"{vendor}/order/jsonschema/1-0-0": iglu(vendor, "order", "1-0-0")})

    with pytest.raises(PlanError, match="the event 'order' is already given in"):
        load(tmp_path)


# --- forcing a format -------------------------------------------------------------------------------------------------


def test_a_format_can_be_forced(tmp_path: Path) -> None:
    written(tmp_path, {"plan.json": {"Order": {"$id": "https://iterative.ly/x", "type": "object"}}})

    for provider in ("iteratively", "schemas"):
        assert load({"plan": str(tmp_path / "plan.json"), "provider": provider}).origin["provider"] == provider


def test_an_api_is_not_asked_where_there_is_a_file(tmp_path: Path) -> None:
    written(tmp_path, {"plan.json": samples.SEGMENT_V8, "tp_1": samples.SEGMENT_V8})

    for plan in ("plan.json", "tp_1"):
        assert load({"plan": plan, "provider": "segment"}, base=tmp_path).name == "Shop"


def test_an_unknown_provider_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'segment'"):
        load({"plan": "x", "provider": "segmnt"})
