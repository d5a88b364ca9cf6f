"""A plan is text of strangers: none of it runs, breaks the package, or gets a key lost or swapped."""

from __future__ import annotations

import ast
import builtins
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from itly_core import Options, ValidationOptions
from itly_core.codegen import render
from itly_core.codegen.safety import UnsafeCode, docstring, lines_of, literal, prove
from itly_core.plans.document import Plan, Section
from itly_core.testing import recording
from tests.codegen.plans import closed, imported, names_of, plan_of

EXAMPLES, PARTS = 1000, 4  # in parts, so that several cores share them
HOSTILE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
RUN = "__import__('builtins').CANARY.append(1)"
SPICES = [
    RUN, f'"""\n{RUN}\n"""', f"'''\n{RUN}\n'''", f'\\"""\n{RUN}\n"""', f'"\n{RUN}\n', f"\n{RUN}\n", f"\r{RUN}\r",
    f"\x0c{RUN}", f"\u2028{RUN}", f"\x85{RUN}", f"{{{RUN}}}", f"]: {RUN},", f"): {RUN}", f"', {RUN}, '", f'", {RUN}, "',
    f"#\n{RUN}", f"\\\n{RUN}", '"', "'", '"""', "'''", '\\"', "\\", "\\\\", '\\"""', '""""', "\\N{DASH}", "\\x41",
    "\\u0041", "%s", "{}", "{0.__class__}", "$x", "\x00", "\x1b[31m", "\ufeff", "\u202e", "\u2066", "\u200b", "\U000e0041",
    "from", "import", "None", "class", "self", "options", "user_id", "_extra", "UNSET", "Package", "event_class", "super",
    "__init__", "__class__", "__file__", "__all__", "__getattr__", "__dir__", "__builtins__", "_package", "_given", "str", "int", "Any", "Literal",
    "Context", "load", "track", "Event", "utm_medium", "utmMedium", "utm_medium_10e6d9", "a b", "aB", "a_b", "A_B", "1h",
    "\u72b6\u6001", "\U0001f389", "\u30fb", "e\u0301", "\u00e9", "\ufb01", "", " ",
]  # fmt: skip


@st.composite
def hostile_texts(draw: st.DrawFn) -> str:
    pick = draw(st.integers(0, len(SPICES) + 20))
    if pick < len(SPICES):
        return SPICES[pick]
    return (
        draw(st.text(max_size=4)) if pick % 2 else SPICES[draw(st.integers(0, 30))] + SPICES[draw(st.integers(0, 30))]
    )


texts = hostile_texts()
values = st.one_of(
    texts, st.integers(-(2**70), 2**70), st.booleans(), st.none(), st.floats(allow_nan=False, allow_infinity=False)
)
leaves = st.one_of(
    st.builds(dict, type=st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])),
    st.builds(dict, enum=st.lists(values, min_size=1, max_size=5)),
    st.builds(dict, type=st.just("string"), pattern=texts, format=texts, default=values, title=texts),
    st.booleans(),
)
described = st.builds(
    lambda schema, text: schema if isinstance(schema, bool) else {**schema, "description": text}, leaves, texts
)
schemas = st.recursive(
    described,
    lambda inner: st.one_of(
        st.builds(dict, type=st.just("array"), items=inner),
        st.dictionaries(texts, inner, max_size=3).map(closed),
        st.builds(dict, anyOf=st.lists(inner, min_size=1, max_size=3)),
        st.builds(dict, allOf=st.lists(inner, min_size=1, max_size=2)),
    ),
    max_leaves=5,
)
properties = st.dictionaries(texts, st.one_of(schemas, st.builds(dict, const=values)), max_size=4)


@st.composite
def sections(draw: st.DrawFn, name: str | None = None) -> Section:
    found = draw(properties)
    required = draw(st.lists(st.sampled_from(sorted(found)), unique=True)) if found else []
    return Section(
        name=draw(texts) if name is None else name,
        schema=closed(found, required, title=draw(texts)),
        description=draw(texts),
        version=draw(texts),
        owner=draw(texts),
        status=draw(st.sampled_from(["active", "deprecated", "draft"])),
        user_id_property="user_id" if "user_id" in found else None,
    )


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    events = draw(st.lists(sections(), min_size=1, max_size=3, unique_by=lambda event: event.name))
    return plan_of(
        *events,
        name=draw(texts),
        version=draw(texts),
        source=draw(texts),
        owner=draw(texts),
        origin={"provider": draw(texts)},
        **{kind: draw(sections(name=kind)) for kind in draw(st.sampled_from([(), ("context",), ("identify", "page")]))},
    )


@pytest.fixture(scope="module", autouse=True)
def canary() -> Iterator[list[int]]:
    """Grows when something of a plan ran."""
    grown: list[int] = []
    builtins.CANARY = grown  # type: ignore[attr-defined]
    yield grown
    del builtins.CANARY  # type: ignore[attr-defined]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
@settings(HOSTILE, max_examples=EXAMPLES // PARTS, database=None)
@given(plan=plans())
def test_a_hostile_plan_gives_a_harmless_package(part: int, plan: Plan) -> None:
    gives_a_harmless_package(plan)


@pytest.mark.torture
@pytest.mark.timeout(7200)
@settings(HOSTILE, max_examples=20_000, database=None)
@given(plan=plans())
def test_thousands_of_hostile_plans_give_harmless_packages(plan: Plan) -> None:
    gives_a_harmless_package(plan)


def gives_a_harmless_package(plan: Plan) -> None:
    """Its package imports and runs nothing of the plan's; what its functions and classes take arrives under the plan's own
    keys, every key and no other."""
    with tempfile.TemporaryDirectory() as directory:
        package = imported(plan, Path(directory))
        document = package._package.plan
        names = names_of(package)
        context = document.sections["context"].constants if plan.context else {}

        assert builtins.CANARY == []  # type: ignore[attr-defined]
        with recording(package, Options(validation=ValidationOptions(disabled=True))) as recorder:
            for event in plan.events:
                called = names[event.name]
                given_values = {name: f"value of {wire}" for name, wire in called.arguments.items()}
                own = {
                    **{wire: f"value of {wire}" for wire in called.arguments.values()},
                    **document.events[event.name].constants,
                    **({"user_id": "u1"} if document.events[event.name].user_id_property else {}),
                }

                getattr(package, called.function)("u1", **given_values)
                package.track("u1", getattr(package, called.cls)(**given_values))

                first, second = recorder.calls[-2:]
                assert first.name == second.name == event.name
                assert plain(first.properties) == plain(second.properties)
                assert plain(second.properties) == plain({**context, **own})
                assert {*own} == {*event.schema["properties"]}
        assert builtins.CANARY == []  # type: ignore[attr-defined]


def plain(value: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON has it: floats that are whole numbers are one with integers."""
    return {key: repr(item) if isinstance(item, bool) else item for key, item in value.items()}


@pytest.mark.parametrize("spice", SPICES)
def test_each_spice_alone(spice: str, tmp_path: Path) -> None:
    schema = closed({spice: {"enum": [spice], "description": spice}, "other": {"const": spice}}, [spice])
    section = Section(name=spice, schema=schema, description=spice, version=spice, owner=spice)
    plan = plan_of(section, name=spice, source=spice, version=spice)

    package = imported(plan, tmp_path)
    called = names_of(package)[spice]
    with recording(package) as recorder:
        getattr(package, called.function)("u1", **dict.fromkeys(called.arguments, spice))

    assert recorder.calls[0].properties == {spice: spice, "other": spice}
    assert builtins.CANARY == []  # type: ignore[attr-defined]


@given(texts)
def test_a_literal_is_the_text_in_ascii(text: str) -> None:
    spelled = literal(text)

    assert ast.literal_eval(spelled) == text
    assert spelled.isascii()
    assert "\n" not in spelled


@given(texts)
def test_a_docstring_says_the_visible_text_and_nothing_else(text: str) -> None:
    lines = lines_of(text) or ["."]

    (statement,) = ast.parse("\n".join(docstring(lines, ""))).body

    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Constant)
    assert str(statement.value.value).strip("\n") == "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("plain", ["plain"]),
        ("  two\n\n\n words  here \t. \n\n", ["two", "", "", "words here ."]),
        ("a\r\nb\rc\u2028d\x85e", ["a", "b", "c", "d", "e"]),
        ("\u202eright\u2066 to left\u200b\ufeff\x00\x1b[31m", ["right to left[31m"]),
        ("\U000e0041\ufeff", []),
        ("\u72b6\u6001 \U0001f389 caf\u00e9", ["\u72b6\u6001 \U0001f389 caf\u00e9"]),
        ("", []),
    ],
)
def test_what_is_seen_of_a_text(text: str, lines: list[str]) -> None:
    assert lines_of(text) == lines


def test_invisible_characters_are_escaped_in_the_plan_file() -> None:
    text = render(plan_of(Section(name="a\u202eb\x9f\U000e0041", schema=closed({}))))["_plan.json"].decode()

    assert '"a\\u202eb\\u009f\\udb40\\udc41"' in text


@pytest.mark.parametrize(
    "source",
    [
        "x = 1 if y else 2\n",
        'import os\nos.system("x")\n',
        "f(x)\n",
        "def a():\n    return 1\n",
        "x = [y for y in z]\n",
        "x = lambda: 0\n",
        'x = f"{y}"\n',
        "x = y[0]()\n",
        'exec("x")\n',
        "while x: y\n",
        "x = (\n",
    ],
)
def test_code_of_other_forms_is_never_let_out(source: str) -> None:
    with pytest.raises(UnsafeCode):
        prove(source, source)


@pytest.mark.parametrize(
    ("source", "neutral"),
    [
        ('x = "a", "b"\n', 'x = "x"\n'),
        ('x = "a"\ny = "b"\n', 'x = "x"\n'),
        ('x = "a" # b\n', 'x = "x"\n'),
        ("x = b'a'\n", 'x = "x"\n'),
        ("x = 1\n", 'x = "x"\n'),
        ("class A:\n    y = 1\n", "class B:\n    y = 1\n"),
    ],
)
def test_code_that_texts_changed_is_never_let_out(source: str, neutral: str) -> None:
    with pytest.raises(UnsafeCode):
        prove(source, neutral)


def test_code_that_differs_in_its_strings_alone_is() -> None:
    prove('x = "a \\" b"\n"""c\n\nd"""\ny = "\u72b6"\nz = w\n', 'x = "x"\n"""x"""\ny = "x"\nz = w\n')
