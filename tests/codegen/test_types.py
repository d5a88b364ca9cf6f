"""What a schema becomes for a type checker, seen in the stub."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from itly_core.codegen import render
from itly_core.errors import PlanError
from itly_core.plans.document import Section
from tests.codegen.plans import closed, event, plan_of

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
DRAFT_7 = "http://json-schema.org/draft-07/schema#"


def stub_of(section: Section) -> str:
    return render(plan_of(section))["__init__.pyi"].decode()


def signature(section: Section) -> dict[str, str]:
    """Argument -> annotation, with ` = ...` where it may be left out, of the only event's function."""
    functions = [node for node in ast.parse(stub_of(section)).body if isinstance(node, ast.FunctionDef)]
    arguments = functions[-1].args
    found = {
        argument.arg: ast.unparse(argument.annotation or ast.Constant(None)) + (" = ..." if default else "")
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if argument.arg != "options"
    }
    if arguments.kwarg is not None:
        found["**"] = ast.unparse(arguments.kwarg.annotation or ast.Constant(None))
    return found


def type_of(schema: Any, **more: Any) -> str:
    """The annotation of a required property with that schema."""
    found = signature(Section(name="E", schema=closed({"p": schema}, ["p"], **more)))
    return found.get("p", "(no argument)")


def definitions(section: Section) -> Iterator[str]:
    """The named types of the stub, as source."""
    for node in ast.parse(stub_of(section)).body:
        is_alias = isinstance(node, ast.AnnAssign) and node.value is not None
        if is_alias or (isinstance(node, ast.Assign) and isinstance(node.value, ast.Call)):
            yield ast.unparse(node)


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"type": "string"}, "str"),
        ({"type": "integer"}, "int"),
        ({"type": "number"}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"type": "null"}, "None"),
        ({"type": "array"}, "Sequence[Any]"),
        ({"type": "object"}, "Mapping[str, Any]"),
        ({}, "Any"),
        (True, "Any"),
        ({"description": "Says nothing of the type."}, "Any"),
        ({"type": ["string", "integer"]}, "str | int"),
        ({"type": ["string", "null"]}, "str | None"),
        ({"type": ["null", "string"]}, "str | None"),
        ({"type": ["integer", "number"]}, "float"),
        ({"type": "string", "format": "date-time"}, "str | _datetime.datetime"),
        ({"type": "string", "format": "date"}, "str | _datetime.date"),
        ({"type": "string", "format": "time"}, "str | _datetime.time"),
        ({"type": "string", "format": "uuid"}, "str | _uuid.UUID"),
        ({"type": "string", "format": "email"}, "str"),
        ({"type": "array", "items": {"type": "string"}}, "Sequence[str]"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "Sequence[str | None]"),
        ({"type": "array", "items": {"type": "array", "items": {"type": "integer"}}}, "Sequence[Sequence[int]]"),
        ({"type": "array", "items": False}, "Sequence[Never]"),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, "Sequence[str | int]"),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, "Sequence[str]"),
        ({"type": "array", "prefixItems": [{"type": "string"}]}, "Sequence[Any]"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "Mapping[str, int]"),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "Mapping[str, Any]"),
        (
            {"properties": {"a": {"type": "string"}}},
            "Mapping[str, Any] | None",
        ),  # what it means, and what it also allows
        ({"items": {"type": "string"}}, "Sequence[str] | None"),
    ],
)
def test_type_of(schema: Any, annotation: str) -> None:
    assert type_of(schema) == annotation


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"enum": ["eu", "us"]}, "Literal['eu', 'us']"),
        ({"enum": ["us", "eu"]}, "Literal['us', 'eu']"),
        ({"enum": ["eu", None]}, "Literal['eu'] | None"),
        ({"enum": [1, 2, "many"]}, "Literal[1, 2, 'many']"),
        ({"enum": [True, 1]}, "Literal[True, 1]"),
        ({"enum": ["a", "a"]}, "Literal['a']"),
        ({"enum": [1.5, 2]}, "float"),
        ({"enum": [2**70]}, "int"),
        ({"enum": [["a"], {"b": 1}]}, "Sequence[Any] | Mapping[str, Any]"),
        ({"type": "string", "enum": ["a", None, 1]}, "Literal['a']"),
        ({"type": "integer", "enum": [1, True, "x"]}, "Literal[1]"),
        ({"enum": [str(number) for number in range(50)]}, f"Literal[{', '.join(repr(str(n)) for n in range(50))}]"),
        ({"enum": [str(number) for number in range(51)]}, "str"),
        ({"enum": [*range(60), *map(str, range(60)), None]}, "int | str | None"),
        ({"enum": ["caf\u00e9\n\"'"]}, "Literal['caf\u00e9\\n\"\\'']"),
    ],
)
def test_an_enumeration_becomes_literals(schema: Any, annotation: str) -> None:
    assert type_of(schema) == annotation


@pytest.mark.parametrize(
    ("schema", "annotation"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "str | int"),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, "str | None"),
        ({"oneOf": [{"enum": ["a"]}, {"enum": ["b", 1]}]}, "Literal['a', 'b', 1]"),
        ({"anyOf": [{"type": "string"}, {"enum": ["a"]}]}, "str"),
        ({"anyOf": [{"type": "string"}, {}]}, "Any"),
        ({"type": "string", "anyOf": [{"minLength": 2}, {"pattern": "^x"}]}, "str"),
        ({"type": ["string", "integer"], "anyOf": [{"type": "string"}, {"type": "null"}]}, "str"),
        ({"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, "Mapping[str, Any]"),
        ({"allOf": [{"type": "string"}, {"minLength": 2}]}, "str"),
        ({"allOf": [{"type": ["string", "null"]}, {"type": ["integer", "null"]}]}, "None"),
        ({"allOf": [{"type": "number"}, {"type": "integer"}]}, "int"),
        ({"allOf": [{"type": "string"}, {"enum": ["a", 1]}]}, "Literal['a']"),
        ({"allOf": [{"enum": ["a", "b"]}, {"enum": ["b", "c"]}]}, "Literal['b']"),
        ({"not": {"type": "null"}, "type": "string"}, "str"),
        ({"type": ["string", "null"], "not": {"type": "null"}}, "str"),
    ],
)
def test_combinators(schema: Any, annotation: str) -> None:
    assert type_of(schema) == annotation


def test_arguments_are_keywords_required_ones_without_default() -> None:
    section = event("E", {"a": {"type": "string"}, "b": {"type": "integer"}}, ["b"])

    assert signature(section) == {"a": "str = ...", "b": "int"}


def test_a_constant_is_no_argument() -> None:
    assert signature(event("E", {"rev": {"const": 4}, "a": {"type": "string"}}, ["rev"])) == {"a": "str = ..."}


def test_a_constant_behind_a_reference_is_no_argument() -> None:
    schema = closed({"rev": {"$ref": "#/$defs/rev"}}, **{"$defs": {"rev": {"const": 4}}})

    assert signature(Section(name="E", schema=schema)) == {}


def test_an_enumeration_of_one_is_an_argument() -> None:
    assert signature(event("E", {"rev": {"enum": ["a"]}})) == {"rev": "Literal['a'] = ..."}


def test_draft_4_knows_no_constants() -> None:
    schema = {"$schema": DRAFT_4, "type": "object", "properties": {"rev": {"const": 4}}, "additionalProperties": False}

    assert signature(Section(name="E", schema=schema)) == {"rev": "Any = ..."}


def test_a_forbidden_property_takes_no_value() -> None:
    assert signature(event("E", {"old": False, "new": True})) == {"new": "Any = ...", "old": "Never = ..."}
    assert type_of({"allOf": [{"type": "string"}, {"type": "integer"}]}) == "Never"


def test_a_required_property_that_nothing_describes_is_an_argument() -> None:
    schema = {"$schema": DRAFT_7, "required": ["a"], "properties": {}}

    assert signature(Section(name="E", schema=schema)) == {"a": "Any", "**": "Any"}


@pytest.mark.parametrize(
    ("more", "extra"),
    [
        ({"additionalProperties": False}, None),
        ({}, "Any"),
        ({"additionalProperties": True}, "Any"),
        ({"additionalProperties": {"type": "integer"}}, "int"),
        ({"additionalProperties": False, "patternProperties": {"^x": {"type": "string"}}}, "str"),
        ({"unevaluatedProperties": False}, None),
        ({"anyOf": [{"additionalProperties": False}, {"additionalProperties": False}]}, None),
        ({"anyOf": [{"additionalProperties": False}, {}]}, "Any"),
    ],
)
def test_other_arguments_are_taken_where_the_plan_is_open(more: dict[str, Any], extra: str | None) -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {"a": {"type": "string"}},
        **more,
    }

    assert signature(Section(name="E", schema=schema)).get("**") == extra


def test_an_older_draft_has_no_unevaluated_properties() -> None:
    schema = {"$schema": DRAFT_7, "properties": {"a": {}}, "unevaluatedProperties": False}

    assert signature(Section(name="E", schema=schema))["**"] == "Any"


def test_properties_of_branches_are_optional_arguments() -> None:
    section = event(
        "E",
        {"kind": {"enum": ["a", "b"]}},
        ["kind"],
    )
    branches = {"properties": {"kind": {"const": "a"}, "x": {"type": "string"}}, "required": ["x", "kind"]}
    other = {"properties": {"kind": {"const": "b"}, "x": {"type": "integer"}, "y": {"type": "null"}}, "required": ["x"]}
    schema = {
        **section.schema,
        "oneOf": [branches, other],
        "additionalProperties": True,
        "unevaluatedProperties": False,
    }

    assert signature(Section(name="E", schema=schema)) == {
        "kind": "Literal['a', 'b']",
        "x": "str | int",  # every branch requires it
        "y": "None = ...",
    }


def test_properties_under_conditions_are_optional_arguments() -> None:
    schema = {
        "$schema": DRAFT_7,
        "properties": {"kind": {"type": "string"}},
        "if": {"properties": {"kind": {"const": "a"}}},
        "then": {"properties": {"x": {"type": "string"}}, "required": ["x"]},
        "else": {"properties": {"y": {"type": "integer"}}},
        "dependencies": {"kind": {"properties": {"z": {"type": "boolean"}}}, "x": ["kind"]},
    }

    assert signature(Section(name="E", schema=schema)) == {
        "kind": "str = ...",
        "x": "str = ...",
        "y": "int = ...",
        "z": "bool = ...",
        "**": "Any",
    }


def test_properties_are_found_through_references_and_all_of() -> None:
    schema = {
        "$schema": DRAFT_7,
        "allOf": [{"$ref": "#/definitions/base"}, {"properties": {"b": {"type": "integer"}}, "required": ["a"]}],
        "definitions": {"base": {"properties": {"a": {"type": "string"}}, "required": ["b"]}},
    }

    assert signature(Section(name="E", schema=schema)) == {"a": "str", "b": "int", "**": "Any"}


def test_a_closed_object_is_a_typed_dict_with_the_wire_keys() -> None:
    address = closed(
        {"from": {"type": "string"}, "utmMedium": {"const": "x"}, "\U0001f389": {"type": "number"}}, ["from"]
    )
    section = event("Order Placed", {"shipping address": address}, ["shipping address"])

    assert signature(section) == {"shipping_address": "_OrderPlacedShippingAddress"}
    assert list(definitions(section)) == [
        "_OrderPlacedShippingAddress = TypedDict('_OrderPlacedShippingAddress', "
        "{'from': str, 'utmMedium': NotRequired[Literal['x']], '\U0001f389': NotRequired[float]})"
    ]


def test_objects_nest() -> None:
    section = event("E", {"a": closed({"b": {"type": "array", "items": closed({"c": {"type": "string"}})}})})

    assert list(definitions(section)) == [
        "_EA = TypedDict('_EA', {'b': NotRequired[Sequence[_EABItem]]})",
        "_EABItem = TypedDict('_EABItem', {'c': NotRequired[str]})",
    ]


def test_named_types_that_want_one_name_are_told_apart() -> None:
    nested = closed({"x": {"type": "string"}})
    stub = render(plan_of(event("A B", {"c": nested}), event("A", {"b_c": nested})))["__init__.pyi"].decode()

    assert stub.count("TypedDict(\n") == 2
    assert "_ABC =" not in stub


@pytest.mark.parametrize(("draft", "place"), [(DRAFT_4, "definitions"), (DRAFT_7, "definitions"), ("", "$defs")])
def test_a_reference_is_a_named_type(draft: str, place: str) -> None:
    colour = {"enum": ["red", "green"]}
    schema = closed(
        {"a": {"$ref": f"#/{place}/Colour"}, "b": {"$ref": f"#/{place}/Colour"}}, **{place: {"Colour": colour}}
    )
    section = Section(name="E", schema={**schema, "$schema": draft or schema["$schema"]})

    assert signature(section) == {"a": "_EColour = ...", "b": "_EColour = ..."}
    assert list(definitions(section)) == ["_EColour: TypeAlias = Literal['red', 'green']"]


def test_a_reference_to_something_simple_is_that() -> None:
    assert type_of({"$ref": "#/$defs/x"}, **{"$defs": {"x": {"type": "string"}}}) == "str"


def test_what_stands_beside_a_reference_counts_since_2019() -> None:
    beside = {"$ref": "#/$defs/x", "enum": ["a"]}

    assert type_of(beside, **{"$defs": {"x": {"type": "string"}}}) == "Literal['a']"
    assert type_of(beside, **{"$defs": {"x": {"type": "string"}}, "$schema": DRAFT_7}) == "str"


def test_a_schema_that_contains_itself() -> None:
    node = closed({"children": {"type": "array", "items": {"$ref": "#/$defs/node"}}})
    section = Section(name="E", schema=closed({"tree": {"$ref": "#/$defs/node"}}, **{"$defs": {"node": node}}))

    assert signature(section) == {"tree": "_ENode = ..."}
    assert list(definitions(section)) == ["_ENode = TypedDict('_ENode', {'children': NotRequired[Sequence[_ENode]]})"]


def test_an_alias_that_contains_itself() -> None:
    json = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"$ref": "#/$defs/json"}}]}
    section = Section(name="E", schema=closed({"j": {"$ref": "#/$defs/json"}}, **{"$defs": {"json": json}}))

    assert list(definitions(section)) == ["_EJson: TypeAlias = str | Sequence[_EJson]"]


def test_an_event_that_contains_itself() -> None:
    section = event("E", {"parent": {"$ref": "#"}, "name": {"type": "string"}})

    assert signature(section) == {"name": "str = ...", "parent": "_EProperties = ..."}


@pytest.mark.parametrize(
    "definitions",
    [
        {"x": {"$ref": "#/$defs/y"}, "y": {"$ref": "#/$defs/z"}, "z": {"enum": ["a"]}},
        {"x": {"anyOf": [{"$ref": "#/$defs/x"}, {"type": "array"}]}},
        {"x": {"allOf": [{"$ref": "#/$defs/x"}, {"type": "array"}]}},
    ],
)
def test_definitions_that_are_nothing_but_each_other_end(definitions: dict[str, Any]) -> None:
    schema = closed({"p": {"type": "string"}, "q": {"items": {"$ref": "#/$defs/x"}}}, **{"$defs": definitions})

    assert signature(Section(name="E", schema=schema))["p"] == "str = ..."


def test_definitions_that_double_at_each_step_do_not_take_for_ever() -> None:
    for keyword in ("allOf", "anyOf"):
        levels = {f"l{n}": {keyword: [{"$ref": f"#/$defs/l{n + 1}"}, {"$ref": f"#/$defs/l{n + 1}"}]} for n in range(40)}
        schema = closed(
            {"p": {"type": "string"}}, **{"$defs": {**levels, "l40": {"properties": {"q": {"type": "null"}}}}}
        )

        assert "q" in signature(Section(name="E", schema={**schema, keyword: [{"$ref": "#/$defs/l0"}]}))


@pytest.mark.parametrize("levels", [10, 60, 150])
def test_what_is_nested_very_deeply_is_anything_in_there(levels: int) -> None:
    arrays: Any = {"type": "string"}
    objects: Any = {"type": "string"}
    for _ in range(levels):
        arrays, objects = {"type": "array", "items": arrays}, closed({"a": objects})

    assert type_of(arrays).count("Sequence[") == min(levels, 20)
    assert len(list(definitions(event("E", {"p": objects})))) == min(levels, 20)


def test_a_schema_too_deep_to_be_read_is_refused() -> None:
    schema: Any = {"type": "string"}
    for _ in range(5000):
        schema = {"anyOf": [schema]}

    with pytest.raises(PlanError):
        render(plan_of(event("E", {"p": schema})))


def test_a_reference_to_a_meta_schema_is_anything() -> None:
    assert type_of({"$ref": "http://json-schema.org/draft-07/schema#"}) == "Any"


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"$ref": "#/$defs/nowhere"}, "leads nowhere"),
        ({"$ref": "https://example.com/schema.json"}, "leads nowhere"),
        ({"$ref": "#/$defs/loop"}, "leads to itself"),
        ({"allOf": [{"$ref": "#/$defs/tie"}]}, "without end"),
        ({"type": "thing"}, "thing"),
    ],
)
def test_a_schema_that_cannot_be_read_names_its_event(schema: Any, message: str) -> None:
    loops = {"loop": {"$ref": "#/$defs/loop"}, "tie": {"allOf": [{"$ref": "#/$defs/tie"}]}}
    section = Section(name="Cart", schema=closed({"p": schema}, **{"$defs": loops}))

    with pytest.raises(PlanError, match=message) as caught:
        render(plan_of(section))

    assert caught.value.path == "events.Cart"


def test_an_unknown_draft_is_refused() -> None:
    with pytest.raises(PlanError, match="draft"):
        render(plan_of(Section(name="E", schema={"$schema": "https://json-schema.org/draft/2077-01/schema"})))
