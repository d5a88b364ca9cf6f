"""YAML and JSON as plans are written in them: plain values, lines, and what is refused."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import PlanError
from itly_core.plans import syntax

LAUGHS = b"a0: &a0 [ha, ha]\n" + b"".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n".encode() for level in range(1, 12)
)

REFUSED = {
    "YAML that ends early": ("a.yaml", b"a: [1\n", "a.yaml:2", "", "not well-formed YAML"),
    "YAML out of line": ("a.yaml", b"a:\n  b: 1\n c: 2\n", "a.yaml:3", "", "not well-formed YAML"),
    "JSON with a comma too many": ("a.json", b'{"a":\n 1,}', "a.json:2", "", "not well-formed JSON"),
    "an empty JSON file": ("a.json", b"", "a.json:1", "", "not well-formed JSON"),
    "a tag": ("a.yaml", b"a: 1\nb:\n  c: !!python/object/apply:os.getcwd []\n", "a.yaml:3", "b.c", "tags are not allowed"),
    "a tag of our own": ("a.yaml", b"a: !secret x\n", "a.yaml:1", "a", "tags are not allowed"),
    "a tag on a key": ("a.yaml", b"!!str a: x\n", "a.yaml:1", "", "tags are not allowed"),
    "a key twice in YAML": ("a.yaml", b"b:\n  a: 1\n  c: 2\n  a: 3\n", "a.yaml:4", "b.a", "duplicate key 'a', first on line 2"),
    "a key twice in JSON": ("a.json", b'{"b": [{"a": 1,\n"a": 2}]}', "a.json:2", "b[0].a", "duplicate key 'a', first on line 1"),
    "a list as a key": ("a.yaml", b"? [1, 2]\n: 3\n", "a.yaml:1", "", "a key must be text"),
    "an alias as a key": ("a.yaml", b"a: &x b\n*x : 3\n", "a.yaml:2", "", "a key must be text"),
    "an alias to nothing": ("a.yaml", b"a: *b\n", "a.yaml:1", "a", "refers to nothing"),
    "an alias to what it stands in": ("a.yaml", b"a: &a [*a]\n", "a.yaml:1", "a[0]", "refers to nothing"),
    "aliases that grow without bound": ("a.yaml", LAUGHS, "a.yaml:7", "a6", "more than 500000 values"),
    "lists in lists in YAML": ("a.yaml", b"a: " + b"[" * 200 + b"]" * 200, "a.yaml:1", "", "nested deeper than 100"),
    "lists in lists in JSON": ("a.json", b"[" * 200 + b"]" * 200, "a.json:1", "", "nested deeper than 100"),
    "very deep YAML": ("a.yaml", b"[" * 100_000, "a.yaml:1", "", "nest"),
    "very deep JSON": ("a.json", b"[" * 100_000, "a.json:1", "", "nested deeper than 100"),
    "a second document": ("a.yaml", b"a: 1\n---\nb: 2\n", "a.yaml:2", "", "second document"),
    "no UTF-8": ("a.yaml", b"a: 1\nb: \xff\n", "a.yaml:2", "", "not UTF-8"),
    "UTF-16": ("a.yaml", "a: 1".encode("utf-16"), "a.yaml:1", "", "not UTF-8"),
    "a control character": ("a.yaml", b"a: 1\nb: \x1b[2J\n", "a.yaml:2", "", "control character U+001B"),
    "infinity in YAML": ("a.yaml", b"a: -.inf\n", "a.yaml:1", "a", "not a finite number"),
    "NaN in YAML": ("a.yaml", b"a: .nan\n", "a.yaml:1", "a", "not a finite number"),
    "NaN in JSON": ("a.json", b'{"a": NaN}', "a.json:1", "a", "not a finite number"),
    "a number too large": ("a.json", b'{"a": 1e999}', "a.json:1", "a", "not a finite number"),
    "a number too long in YAML": ("a.yaml", b"a: " + b"9" * 5000, "a.yaml:1", "a", "too many digits"),
    "a number too long in JSON": ("a.json", b'{"a": ' + b"9" * 5000 + b"}", "a.json:1", "", "too many digits"),
    "half a surrogate pair": ("a.json", b'{"a":\n"\\ud800"}', "a.json:2", "a", "surrogate"),
    "half a surrogate pair in a key": ("a.json", b'{\n"\\udfff": 1}', "a.json:2", "", "surrogate"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "data", "location", "path", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_names_its_line_and_key(name: str, data: bytes, location: str, path: str, message: str) -> None:
    with pytest.raises(PlanError) as caught:
        syntax.read(name, data)

    assert caught.value.location == location
    assert caught.value.path.startswith(path)
    assert message in caught.value.message


PLAIN = {
    "no": "no", "yes": "yes", "on": "on", "y": "y", "No": "No", "null": None, "~": None, "": None, "true": True,
    "False": False, "1": 1, "-7": -7, "+7": 7, "0o17": 15, "0x1F": 31, "017": 17, "1.0": 1.0, "1e3": 1000.0, ".5": 0.5,
    "1_000": "1_000", "12:30": "12:30", "2026-01-10": "2026-01-10", "2020-12": "2020-12", "1.2.3": "1.2.3", "=": "=",
    "<<": "<<", "0b1": "0b1", "'1'": "1", '"no"': "no",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), PLAIN.items())
def test_plain_scalars_are_what_yaml_1_2_says(text: str, value: object) -> None:
    read = syntax.read("a.yaml", f"a: {text}\n".encode()).value["a"]

    assert (type(read), read) == (type(value), value)


def test_keys_are_text_as_written() -> None:
    assert syntax.read("a.yaml", b"404: 1\nno: 2\nnull: 3\n1.0: 4\n2026-01-10: 5\n").value == {
        "404": 1, "no": 2, "null": 3, "1.0": 4, "2026-01-10": 5,
    }  # fmt: skip


def test_an_alias_stands_for_its_anchor() -> None:
    document = syntax.read("a.yaml", b"a: &x {b: [1]}\nc: *x\nd: &y no\ne: *y\n")

    assert document.value == {"a": {"b": [1]}, "c": {"b": [1]}, "d": "no", "e": "no"}
    assert document.location(("c", "b", 0)) == "a.yaml:2"


def test_a_byte_order_mark_is_no_part_of_the_text() -> None:
    assert syntax.read("a.json", b'\xef\xbb\xbf{"a": 1}').value == {"a": 1}
    assert syntax.read("a.yaml", b"\xef\xbb\xbfa: 1").value == {"a": 1}


def test_json_may_be_indented_with_tabs_and_have_its_colons_anywhere() -> None:
    assert syntax.read("a.json", b'{\r\n\t"a"\r\n\t:\t[1,\t"\\ud83d\\ude00"]}').value == {"a": [1, "\U0001f600"]}


@pytest.mark.parametrize("name", ["https://plans.example/latest", "plan", "plan.txt"])
def test_without_a_known_suffix_the_first_character_decides(name: str) -> None:
    assert syntax.read(name, b' {"a": 1}').value == {"a": 1}
    assert syntax.read(name, b"a: 1").value == {"a": 1}


def test_every_value_knows_the_line_it_begins_at() -> None:
    document = syntax.read("a.yaml", b"# head\na:\n  - x\n  - b: 1\n    c:\n      d: 2\n")

    assert [document.location(path) for path in [("a",), ("a", 0), ("a", 1, "b"), ("a", 1, "c", "d")]] == [
        "a.yaml:2", "a.yaml:3", "a.yaml:4", "a.yaml:6",
    ]  # fmt: skip
    assert document.location(("a", 1, "c", "unknown")) == "a.yaml:5"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(json_values, st.sampled_from([None, 0, 1, "\t"]), st.booleans())
def test_json_is_read_as_the_standard_library_reads_it(value: object, indent: int | str | None, escapes: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escapes)

    assert _typed(syntax.read("a.json", text.encode()).value) == _typed(json.loads(text))


class QuotingDumper(yaml.SafeDumper):
    """Writes every text in quotes: left to itself it leaves those off that YAML 1.1 does not need, such as `1e3`."""


QuotingDumper.add_representer(
    str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')
)


@given(json_values, st.booleans())
def test_a_document_is_the_same_in_yaml_and_in_json(value: object, is_flow: bool) -> None:
    as_yaml = yaml.dump(value, Dumper=QuotingDumper, default_flow_style=is_flow)
    as_json = json.dumps(value)

    assert _typed(syntax.read("a.yaml", as_yaml.encode()).value) == _typed(
        syntax.read("a.json", as_json.encode()).value
    )


@given(st.binary(max_size=200), st.sampled_from(["a.yaml", "a.json", "a"]))
def test_nothing_but_a_plan_error_comes_out_of_any_bytes(data: bytes, name: str) -> None:
    try:
        location = syntax.read(name, data).location(())
    except PlanError as exc:
        location = exc.location

    assert location.startswith(f"{name}:")


def _typed(value: object) -> object:
    """The value with its types spelled out: 1, 1.0 and True are equal to Python, and not the same here."""
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_typed(item) for item in value]
    return type(value).__name__, value
