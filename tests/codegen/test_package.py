"""What a generated package is: its files, and what calls of it send."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import json
import os
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import itly_core
from itly_core import InvalidEvent
from itly_core.codegen import compare, render, write
from itly_core.codegen.render import plan_json
from itly_core.codegen.safety import visible_json
from itly_core.errors import PlanError
from itly_core.options import Options
from itly_core.plans import load
from itly_core.plans.document import Section
from itly_core.testing import Recorder, recording
from tests.codegen import regenerate
from tests.codegen.plans import CORPUS, ROOT, closed, event, imported, imported_from, plan_of
from tests.codegen.test_verdicts import corpus_files

FILES = {"__init__.py", "__init__.pyi", "_plan.json", "py.typed", "requirements.txt"}


@pytest.fixture(scope="module")
def golden() -> ModuleType:
    return imported_from(regenerate.PACKAGE)


@pytest.fixture
def recorder(golden: ModuleType) -> Iterator[Recorder]:
    with recording(golden) as running:
        yield running


# --- files


def test_the_golden_package_is_what_its_plan_gives() -> None:
    differences = compare(regenerate.files(), regenerate.PACKAGE)

    assert differences == [], "run python -m tests.codegen.regenerate and read the difference"


def test_a_package_has_these_files() -> None:
    files = render(plan_of(event("A")))

    assert {*files} == FILES
    assert files["py.typed"] == b""
    assert files["requirements.txt"].decode().splitlines()[1:] == [f"itly-web>={itly_core.__version__}"]


def test_the_order_of_a_plan_makes_no_difference() -> None:
    text, null = {"type": "string"}, {"type": "null"}
    one = plan_of(event("B", {"x": text, "a": null}), event("A b"))
    other = plan_of(event("A b"), event("B", {"a": null, "x": text}))

    assert render(one) == render(other)


def test_the_plan_is_kept_with_names_constants_and_hashes() -> None:
    section = event(
        "Process Started",
        {"user_id": {"type": "string"}, "from": {"type": ["string", "null"]}, "rev": {"const": 4}},
        ["user_id"],
        version="1.2.0",
        user_id_property="user_id",
    )
    files = render(plan_of(section, formats="strict"))
    document = json.loads(files["_plan.json"])

    assert document["events"]["Process Started"] == {
        "function": "process_started",
        "class": "ProcessStarted",
        "version": "1.2.0",
        "schema": section.schema,
        "arguments": {"from_": "from"},
        "constants": {"rev": 4},
        "nullable": ["from"],
        "user_id": "user_id",
    }
    assert document["itly"] == 1
    assert document["generator"] == itly_core.__version__
    assert document["plan"] == {"name": "Shop", "version": "1.0.0", "source": "python"}
    assert document["formats"] == "strict"
    assert [document[name] for name in ("context", "identify", "group", "page")] == [None] * 4
    assert document["origin"]["provider"] == "file"
    assert document["files"]["__init__.py"] == hashlib.sha256(files["__init__.py"]).hexdigest()
    assert {*document["files"]} == FILES - {"_plan.json"}


def test_the_plan_file_has_one_item_a_line_sorted() -> None:
    text = render(plan_of(event("B"), event("A")))["_plan.json"].decode()

    assert text.endswith("}\n")
    assert re.findall(r'^  "([AB])": \{$', text, re.MULTILINE) == ["A", "B"]
    assert '\n  "name": "Shop",\n  "source": "python",\n  "version": "1.0.0"\n' in text


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_the_plan_file_is_laid_out_as_the_standard_library_does(value: Any) -> None:
    document = {"value": value}

    laid_out = plan_json(document)

    assert json.loads(laid_out) == document
    expected = json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False)
    assert laid_out.decode() == f"{visible_json(expected)}\n"


def test_the_hash_of_a_plan_follows_what_it_says_and_not_where_it_came_from() -> None:
    def digest(*events: Section, **more: Any) -> str:
        return str(json.loads(render(plan_of(*events, **more))["_plan.json"])["origin"]["sha256"])

    assert digest(event("A")) == digest(event("A"), origin={"provider": "segment"})
    assert digest(event("A")) != digest(event("A", description="Changed."))


def test_one_more_property_changes_one_line_of_each_list_it_is_in() -> None:
    few = event("A", {"a": {"type": "string"}, "c": {"type": "string"}})
    more = event("A", {"a": {"type": "string"}, "b": {"type": "string"}, "c": {"type": "string"}})
    before, after = (render(plan_of(section)) for section in (few, more))

    for name, added in (("__init__.py", 3), ("__init__.pyi", 3)):
        old, new = before[name].decode().splitlines(), after[name].decode().splitlines()
        assert len(new) - len(old) == added
        assert all(line in new for line in old)


def test_a_removed_event_is_not_generated() -> None:
    files = render(plan_of(event("A"), event("B", status="removed")))

    assert "B" not in json.loads(files["_plan.json"])["events"]
    assert b"def b(" not in files["__init__.py"]


def test_a_deprecated_event_is_marked() -> None:
    stub = render(plan_of(event("A", status="deprecated")))["__init__.pyi"].decode()

    assert stub.count('@_deprecated("A is deprecated in the tracking plan")') == 2


RENDER = """
import hashlib, json, sys
from pathlib import Path
from itly_core.catalogue import page
from itly_core.codegen import render, write
from itly_core.plans import load
for number, file in enumerate(sys.argv[2:]):
    plan = load(file)
    package = Path(sys.argv[1]) / str(number)
    write(render(plan), package)
    written = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(package.iterdir())}
    print(json.dumps([file, written, hashlib.sha256(page(plan)).hexdigest()]))
"""
SAMPLES = sorted(ROOT.glob("sample_projects/*/tracking-plan.yaml"))


def pythons() -> list[Path]:
    """This Python, and every other one here that can generate: named in ITLY_TEST_PYTHONS, or made by `make compat`."""
    named = [Path(path) for path in os.environ.get("ITLY_TEST_PYTHONS", "").split(os.pathsep) if path]
    others = [*named, *sorted((ROOT / ".compat").glob("*/bin/python"))]
    return [Path(sys.executable), *(python for python in others if _can_generate(python))]


def _can_generate(python: Path) -> bool:
    command = [python, "-c", "import itly_core.catalogue"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def rendered(python: Path, directory: Path, files: list[Path], **env: str) -> list[str]:
    """What a process of its own makes of plan files, as hashes."""
    done = subprocess.run(
        [python, "-W", "error", "-c", RENDER, directory, *files],
        cwd=ROOT,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def in_every_way(python: Path, directory: Path, files: list[Path]) -> list[list[str]]:
    return [
        rendered(python, directory / "one", files, PYTHONHASHSEED="1", LC_ALL="C", PYTHONCOERCECLOCALE="0"),
        rendered(python, directory / "two", files, PYTHONHASHSEED="2", PYTHONUTF8="1", TZ="Asia/Tokyo"),
    ]


@pytest.mark.timeout(400)  # one process for each way and Python
def test_the_bytes_are_the_same_under_any_hash_seed_locale_and_python(tmp_path: Path) -> None:
    files = [regenerate.PLAN, *SAMPLES]
    ways = [
        way for number, python in enumerate(pythons()) for way in in_every_way(python, tmp_path / str(number), files)
    ]

    assert len(ways[0]) == len(files)
    assert all(way == ways[0] for way in ways)
    hashes = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in regenerate.PACKAGE.glob("*.*")}
    assert json.loads(ways[0][0])[1] == hashes


@pytest.mark.timeout(400)
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
def test_the_bytes_of_real_plans_are_the_same_under_any_hash_seed_and_locale(tmp_path: Path) -> None:
    one, two = in_every_way(Path(sys.executable), tmp_path, corpus_files()[::4])

    assert [line for line, other in zip(one, two, strict=True) if line != other] == []


@pytest.mark.torture
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
def test_the_bytes_of_real_plans_are_the_same_under_any_python(tmp_path: Path) -> None:
    first, *others = [
        way
        for number, python in enumerate(pythons())
        for way in in_every_way(python, tmp_path / str(number), corpus_files())
    ]

    for other in others:
        assert [line for line, its in zip(first, other, strict=True) if line != its] == []


@pytest.mark.parametrize("end", ["\r\n", "\r"], ids=["Windows", "old Mac"])
def test_the_line_ends_of_a_plan_file_make_no_difference(tmp_path: Path, end: str) -> None:
    for file in (regenerate.PLAN, *SAMPLES):
        text = file.read_text("utf-8")
        copy = tmp_path / file.name
        copy.write_bytes(text.replace("\n", end).encode())

        assert render(load(copy)) == render(load(file))


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
@pytest.mark.parametrize("file", [file for file in corpus_files() if file.is_file()], ids=lambda file: file.stem)
def test_the_line_ends_of_real_plans_make_no_difference(tmp_path: Path, file: Path) -> None:
    copy = tmp_path / file.name
    copy.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))

    assert render(load(copy)) == render(load(file))


def test_the_package_compiles_on_every_python() -> None:
    code = "import sys; [compile(open(name, 'rb').read(), name, 'exec', dont_inherit=True) for name in sys.argv[1:]]"
    names = [regenerate.PACKAGE / "__init__.py", regenerate.PACKAGE / "__init__.pyi"]
    installed = (Path.home() / ".pyenv" / "versions").glob("3.1[0-9]*/bin/python")
    for python in (*pythons(), *installed):
        done = subprocess.run([python, "-W", "error", "-c", code, *names], capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr


def test_what_it_exports() -> None:
    golden = importlib.import_module("tests.codegen.golden")
    names = {*golden.__all__}

    assert names >= {
        "AllOptions", "AlreadyLoaded", "AmplitudeOptions", "Closed", "ConfigError", "ConsoleOptions", "CustomOptions",
        "DeliveryOptions", "DestinationsOptions", "Environment", "Event", "EventOptions", "InvalidEvent", "ItlyError",
        "ItlyLogger", "NotLoaded", "Options", "SegmentOptions", "ValidationOptions", "Violation",
    }  # fmt: skip
    assert names >= {"load", "identify", "group", "page", "alias", "track", "flush", "shutdown", "stats", "Context"}
    assert names >= {"process_started", "ProcessStarted", "load_event", "Load", "comment", "Comment"}
    assert not names & {"Call", "PlanError", "PullError", "Package", "UNSET"}
    assert all(hasattr(golden, name) for name in names)


def test_without_a_context_in_the_plan_there_is_no_class_for_it(tmp_path: Path) -> None:
    assert not hasattr(imported(plan_of(event("A")), tmp_path), "Context")


# --- calls


def test_a_function_tracks_its_event(golden: ModuleType, recorder: Recorder) -> None:
    golden.process_started("u1", available_processors=4, region="eu")

    (call,) = recorder.calls
    assert (call.kind, call.name, call.user_id) == ("track", "Process Started", "u1")
    assert call.properties == {"user_id": "u1", "available_processors": 4, "region": "eu", "schema_rev": 4}


def test_an_event_object_is_the_same_call(golden: ModuleType, recorder: Recorder) -> None:
    golden.track("u1", golden.ProcessStarted(available_processors=4))
    golden.process_started("u1", available_processors=4)

    first, second = recorder.calls
    assert (first.name, first.properties) == (second.name, second.properties)
    assert isinstance(golden.ProcessStarted(available_processors=4), golden.Event)


def test_importing_makes_no_event_class_and_using_one_makes_that_one(tmp_path: Path) -> None:
    package = imported(plan_of(event("A"), event("B")), tmp_path)
    assert package._package._classes == {}

    first = package.A

    assert {*package._package._classes} == {"A"}
    assert package.A is first
    assert isinstance(package.B(), package.Event)
    assert not isinstance(package.B(), package.A)


def test_an_event_class_shows_what_its_function_does(golden: ModuleType) -> None:
    cls = golden.ProcessStarted

    assert (cls.__name__, cls.__qualname__, cls.__module__) == ("ProcessStarted", "ProcessStarted", golden.__name__)
    assert str(inspect.signature(cls)) == "(*, available_processors=UNSET, region=UNSET, started_at=UNSET, **_extra)"
    assert inspect.getdoc(cls) == (
        "A worker process came up.\n\nThe same as a call of `process_started`, as a value for `track`."
    )
    assert repr(cls()) == "ProcessStarted('Process Started')"


def test_the_module_names_its_event_classes_before_they_are_made() -> None:
    golden = importlib.import_module("tests.codegen.golden")
    everything: dict[str, Any] = {}
    exec("from tests.codegen.golden import *", everything)
    from tests.codegen.golden import ProcessStarted

    assert dir(golden) == sorted(golden.__all__)
    assert {*golden.__all__} <= {*everything}
    assert everything["ProcessStarted"] is ProcessStarted is golden.ProcessStarted


def test_a_name_that_is_not_there_is_an_attribute_error_with_a_hint() -> None:
    code = "import tests.codegen.golden as itly\nitly.ProcesStarted"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert "AttributeError: module 'tests.codegen.golden' has no attribute 'ProcesStarted'" in done.stderr
    assert "Did you mean: 'ProcessStarted'?" in done.stderr


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_an_event_object_can_be_pickled_and_copied(protocol: int) -> None:
    golden = importlib.import_module("tests.codegen.golden")
    made = golden.Load(from_="x", unknown=1)

    for other in (pickle.loads(pickle.dumps(made, protocol)), copy.deepcopy(made)):
        assert type(other) is golden.Load
        assert (other.name, other.properties) == ("load", {"from": "x", "unknown": 1})


def test_an_event_object_is_unpickled_where_its_class_was_not_made_yet(tmp_path: Path) -> None:
    golden = importlib.import_module("tests.codegen.golden")
    (tmp_path / "event").write_bytes(pickle.dumps(golden.ProcessStarted(available_processors=4)))
    code = "import pickle, sys; event = pickle.load(open(sys.argv[1], 'rb')); print(event, event.properties)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "event"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stdout == "ProcessStarted('Process Started') {'available_processors': 4}\n", done.stderr


def test_threads_that_use_a_class_at_once_get_the_same(tmp_path: Path) -> None:
    package = imported(plan_of(event("A", {"p": {"type": "string"}})), tmp_path)
    together = threading.Barrier(8)

    def use(_: int) -> type:
        together.wait()
        cls: type = package.A
        return cls

    with ThreadPoolExecutor(8) as threads:
        assert len({*threads.map(use, range(8))}) == 1


def test_renamed_arguments_keep_their_wire_names(golden: ModuleType, recorder: Recorder) -> None:
    hashed = next(name for name in golden.__all__ if name.startswith("cart_viewed_"))
    arguments = {"utm_medium": "a", "utm_medium_10e6d9": "b"}

    getattr(golden, hashed)("u1", **arguments)
    golden.load_event("u1", from_="x", options_="y", self_="z", options=golden.EventOptions(message_id="m-1"))

    assert recorder.calls[0].properties == {"utm_medium": "a", "utmMedium": "b"}
    assert recorder.calls[1].properties == {"from": "x", "options": "y", "self": "z"}
    assert recorder.calls[1].message_id == "m-1"


def test_traits_and_properties_of_sections(golden: ModuleType, recorder: Recorder) -> None:
    golden.identify("u1", plan="pro", seats=None)
    golden.group("u1", "acme", group_id_="inner", name="Acme")
    golden.page("u1", "Docs", "Intro", name_="inner", path="/docs")

    identify, group, page = recorder.calls
    assert identify.traits == {"plan": "pro", "seats": None}
    assert (group.group_id, group.traits) == ("acme", {"group_id": "inner", "name": "Acme"})
    assert (page.category, page.name, page.properties) == ("Docs", "Intro", {"name": "inner", "path": "/docs"})


def test_none_is_null_where_the_plan_allows_it_and_absent_elsewhere(golden: ModuleType, recorder: Recorder) -> None:
    golden.process_started("u1", available_processors=4, region=None, started_at=None)

    (call,) = recorder.calls
    assert call.properties == {"user_id": "u1", "available_processors": 4, "region": None, "schema_rev": 4}


def test_the_plan_decides_not_python(golden: ModuleType, recorder: Recorder) -> None:
    with pytest.raises(InvalidEvent) as caught:
        golden.process_started("u1", region="mars", colour="red")

    assert {violation.path for violation in caught.value.violations} == {"available_processors", "region", "colour"}


def test_the_context_is_merged_into_events(golden: ModuleType) -> None:
    with recording(golden, Options(context=golden.Context(app_version="1.0"))) as recorder:
        golden.cart_viewed("u1")

    assert recorder.calls[0].properties == {"app version": "1.0"}


def test_sections_the_plan_says_nothing_of_take_anything(tmp_path: Path) -> None:
    package = imported(plan_of(event("A")), tmp_path)

    with recording(package) as recorder:
        package.identify("u1", anything="goes")
        package.group("u1", "g", seats=1)
        package.page("u1", "Docs", "Intro", path="/")

    assert [call.traits or call.properties for call in recorder.calls] == [
        {"anything": "goes"},
        {"seats": 1},
        {"path": "/"},
    ]


def test_importing_reads_no_file_but_the_code(tmp_path: Path) -> None:
    write(render(plan_of(event("A"))), tmp_path / "shop")
    (tmp_path / "shop" / "_plan.json").unlink()

    package = imported_from(tmp_path / "shop")

    with pytest.raises(PlanError, match="itly pull"):
        package.load()


# --- nullable


@pytest.mark.parametrize(
    ("schema", "accepts"),
    [
        ({}, True),
        (True, True),
        ({"type": "string"}, False),
        ({"type": ["string", "null"]}, True),
        ({"type": "null"}, True),
        ({"enum": ["a", None]}, True),
        ({"enum": ["a"]}, False),
        ({"type": "string", "enum": ["a", None]}, False),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"oneOf": [{"type": "null"}, {"enum": [None]}]}, False),
        ({"not": {"type": "null"}}, False),
        ({"allOf": [{"type": ["string", "null"]}, {"minLength": 1}]}, True),
        ({"properties": {"a": {"type": "string"}}}, True),
        ({"$ref": "#/$defs/maybe"}, True),
        ({"$ref": "#/$defs/never"}, False),
        ({"$ref": "#/$defs/maybe", "type": "string"}, False),
        ({"anyOf": [{"$ref": "#/$defs/never"}, {"$ref": "#/$defs/maybe"}]}, True),
    ],
)
def test_null_is_allowed_where_the_schema_accepts_it(schema: Any, accepts: bool) -> None:
    definitions = {
        "maybe": {"type": ["integer", "null"]},
        "never": {"$ref": "#/$defs/deep"},
        "deep": {"type": "string"},
    }
    section = Section(name="A", schema=closed({"p": schema}, **{"$defs": definitions}))

    document = json.loads(render(plan_of(section))["_plan.json"])

    assert document["events"]["A"]["nullable"] == (["p"] if accepts else [])


# --- plans that cannot be used


@pytest.mark.parametrize(
    "section",
    [
        event("A \ud800"),
        event("A", {"\udfff": {}}),
        event("A", {"p": {"enum": ["\ud83d"]}}),
        event("A", {"p": {"maximum": float("nan")}}),
        event("A", {"p": {"const": float("inf")}}),
        event("A", {"p": {"const": {1, 2}}}),
        event("A", {"p": {"const": 10**5000}}),
        event("A", python_name="not a name"),
        event("A", python_name="load"),
    ],
    ids=["name", "key", "enum", "nan", "inf", "set", "huge", "no name", "our name"],
)
def test_a_plan_with_no_form_is_refused(section: Section) -> None:
    with pytest.raises(PlanError):
        render(plan_of(section))
