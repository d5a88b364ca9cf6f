"""What the names of a plan become in Python."""

from __future__ import annotations

import hashlib
import keyword
import os
import random
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.codegen import names
from itly_core.codegen.names import ClassName, EventNames, PythonName, argument_names, camel, event_names, snake

FIXED = {"self", "user_id", "options"}
FUNCTIONS = {"load", "identify", "group", "page", "screen", "alias", "track", "flush", "shutdown", "stats"}
CLASSES = {"Options", "Context", "Event"}


def events(*wire_names: str, **chosen: str) -> dict[str, EventNames]:
    return event_names({**dict.fromkeys(wire_names), **chosen}, functions=FUNCTIONS, classes=CLASSES)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Process Started", "process_started"),
        ("processStarted", "process_started"),
        ("HTTPServerError", "http_server_error"),
        ("userID", "user_id"),
        ("SHA256Hash", "sha256_hash"),
        ("checkout-completed", "checkout_completed"),
        ("cart.item/added", "cart_item_added"),
        ("  spaced   out  ", "spaced_out"),
        ("$schema", "schema"),
        ("_private", "private"),
        ("__init__", "init"),
        ("1h", "event_1h"),
        ("42_--terrible==\"event'++name~!3", "event_42_terrible_event_name_3"),
        ("return", "return"),
        ("caf\u00e9", "caf\u00e9"),
        ("cafe\u0301", "caf\u00e9"),
        ("\ufb01le", "file"),
        ("x\u00b2", "x2"),
        ("\u72b6\u6001", "\u72b6\u6001"),
        ("\u041a\u043d\u043e\u043f\u043a\u0430", "\u043a\u043d\u043e\u043f\u043a\u0430"),
        ("\U0001f389", "u1f389"),
        ("\U0001f389 Party", "u1f389_party"),
        ("?", "u3f"),
        ("+ -", "u2b_u2d"),
        ("zero\u200bwidth", "zero_width"),
        ("left\u202eright", "left_right"),
        ("\u30fb", "u30fb"),
        ("", "event"),
        ("   ", "event"),
    ],
)
def test_snake_case_of(text: str, name: str) -> None:
    assert snake(text, prefix="event") == name


@pytest.mark.parametrize(
    ("name", "cls"),
    [
        ("process_started", "ProcessStarted"),
        ("event_1h", "Event1h"),
        ("\u72b6\u6001", "\u72b6\u6001"),
        ("\u0390_a", "\u03aa\u0301A"),  # its capital is two characters, and normalised
        ("\u10d0_b", "\u10d0B"),  # Georgian got capitals long after Unicode 3.2
    ],
)
def test_class_of(name: str, cls: str) -> None:
    assert camel(name) == cls


@pytest.mark.parametrize("text", ["a b", "from", "None", "_x", "1a", "", "\u212b", "\U0001f389", "a\u30fbb"])
def test_what_is_not_safe_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="cannot be a name"):
        PythonName(text)


@given(st.text(max_size=20))
def test_every_text_has_a_safe_name(text: str) -> None:
    (found,) = events(text).values()

    assert found.function.isidentifier()
    assert found.cls.isidentifier()
    assert not keyword.iskeyword(found.function)
    assert not keyword.iskeyword(found.cls)
    assert found.function != found.cls
    assert found.function not in FUNCTIONS
    assert found.cls not in CLASSES


def test_the_packages_own_names_are_left_alone() -> None:
    assert {wire: found.function for wire, found in events(*FUNCTIONS).items()} == {
        name: f"{name}_event" for name in FUNCTIONS
    }
    assert {wire: found.cls for wire, found in events(*CLASSES).items()} == {name: f"{name}Event" for name in CLASSES}


def test_keywords_get_an_underscore() -> None:
    assert events("return") == {"return": EventNames(PythonName("return_"), ClassName("Return"))}
    assert events("None") == {"None": EventNames(PythonName("none"), ClassName("None_"))}
    assert argument_names(["from", "continue"], FIXED) == {"from": "from_", "continue": "continue_"}


def test_arguments_leave_the_fixed_parameters_alone() -> None:
    assert argument_names(["options", "self", "user_id", "name"], FIXED) == {
        "options": "options_",
        "self": "self_",
        "user_id": "user_id_",
        "name": "name",
    }


def test_a_name_in_snake_case_keeps_it_and_the_others_get_a_hash() -> None:
    assert argument_names(["utmMedium", "utm_medium", "UTM Medium"], FIXED) == {
        "utm_medium": "utm_medium",
        "utmMedium": "utm_medium_" + hashlib.sha256(b"utmMedium").hexdigest()[:6],
        "UTM Medium": "utm_medium_" + hashlib.sha256(b"UTM Medium").hexdigest()[:6],
    }


def test_without_an_owner_all_get_a_hash() -> None:
    found = argument_names(["utmMedium", "utm-medium"], FIXED)

    assert "utm_medium" not in found.values()
    assert len({*found.values()}) == 2


def test_a_fixed_parameter_and_its_evasion_do_not_meet() -> None:
    found = argument_names(["options", "options_", "Options"], FIXED)

    assert found["options"] == "options_"
    assert len({*found.values()}) == 3


def test_the_owner_of_the_function_owns_the_class() -> None:
    found = events("Cart Viewed", "cart_viewed")

    assert found["cart_viewed"] == EventNames(PythonName("cart_viewed"), ClassName("CartViewed"))
    assert found["Cart Viewed"].cls.startswith("CartViewed_")


def test_functions_that_differ_may_want_one_class() -> None:
    found = events("a_1", "a1")

    assert {name.function for name in found.values()} == {"a_1", "a1"}
    assert len({name.cls for name in found.values()}) == 2


def test_where_letters_have_no_case_the_class_is_called_event() -> None:
    assert events("\u72b6\u6001") == {
        "\u72b6\u6001": EventNames(PythonName("\u72b6\u6001"), ClassName("\u72b6\u6001Event"))
    }


def test_a_chosen_name_goes_first() -> None:
    found = events("cart_viewed", **{"Basket Seen": "cart_viewed"})

    assert found["Basket Seen"] == EventNames(PythonName("cart_viewed"), ClassName("CartViewed"))
    assert found["cart_viewed"].function.startswith("cart_viewed_")


@pytest.mark.parametrize("name", ["not a name", "class", "_own", "load", "Options", "os.system", ""])
def test_a_name_that_cannot_be_chosen(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be the name"):
        events(**{"Basket Seen": name})


def test_a_name_chosen_twice() -> None:
    with pytest.raises(ValueError, match="chosen by 2 events"):
        events(A="viewed", B="viewed")


def test_a_name_made_to_look_hashed_collides_with_nothing() -> None:
    hashed = argument_names(["utmMedium", "utm_medium"], FIXED)["utmMedium"]

    found = argument_names(["utmMedium", "utm_medium", hashed], FIXED)

    assert found[hashed] == hashed
    assert len({*found.values()}) == 3


@given(
    st.lists(
        st.sampled_from(["a b", "aB", "a_b", "A B", "a-b", "AB", "ab", "a_b_", "from", "From", "FROM"]), unique=True
    )
)
def test_names_depend_on_no_order(wire_names: list[str]) -> None:
    shuffled = random.Random(len(wire_names)).sample(wire_names, len(wire_names))

    assert argument_names(wire_names, FIXED) == argument_names(shuffled, FIXED)
    assert events(*wire_names) == events(*shuffled)
    assert len({name.cls for name in events(*wire_names).values()}) == len(wire_names)


DOCS = (Path(__file__).parents[2] / "docs" / "generated-package.md").read_text("utf-8")


@pytest.mark.parametrize(("wire", "name"), re.findall(r"`([^`]+)` → `([a-z_0-9]+)`", DOCS))
def test_the_names_in_the_documentation(wire: str, name: str) -> None:
    as_event = events(wire)[wire].function
    as_property = argument_names([wire], FIXED | {"name"})[wire]

    assert name in (as_event, as_property)


OTHER_PYTHONS = sorted((Path.home() / ".pyenv" / "versions").glob("3.1[0-9]*/bin/python"))
ALL_CHARACTERS = """
import hashlib, importlib.util, sys
spec = importlib.util.spec_from_file_location("names", sys.argv[1])
names = sys.modules["names"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(names)
found = hashlib.sha256()
for code in (*range(0x600), *range(0x601, 0xD800, 23), *range(0xE000, 0x30000, 61), 0x30FB, 0xFF65, 0x1C90, 0x2F868, 0xE0100):
    name = names.snake("X" + chr(code) + "y", prefix="event")
    found.update((names.PythonName(name) + names.ClassName(names.camel(name))).encode())
print(found.hexdigest())
"""


@pytest.mark.skipif(not OTHER_PYTHONS, reason="no other Python found")
def test_all_pythons_name_every_character_alike() -> None:
    answers = {
        str(python): subprocess.run(
            [python, "-c", ALL_CHARACTERS, names.__file__],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ},
        ).stdout
        for python in (Path(sys.executable), *OTHER_PYTHONS)
    }

    assert len({*answers.values()}) == 1, answers
