"""Status: which mentions in code are of the package, and what is wrong with calls."""

from __future__ import annotations

import ast
import io
import os
import re
import subprocess
import sys
import tempfile
import tokenize
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core import codegen
from itly_core.errors import ConfigError, PlanError
from itly_core.plans import load
from itly_core.plans.code.names import Code, Package
from itly_core.plans.status import KINDS, Status, statuses
from itly_core.project import Project

ROOT = Path(__file__).parents[2]
PLAN = """
itly: 1
plan: {name: Shop, version: 1.0.0, source: python}
types:
  Money:
    properties:
      amount: {type: number, required: true}
      currency: {enum: [EUR, USD], required: true}
context: {properties: {release: {type: string, required: true}}}
identify: {properties: {plan: {enum: [free, pro]}}}
page: {properties: {shelf: {type: string, required: true}}}
events:
  Order Placed:
    properties:
      total: {type: number, minimum: 0, required: true}
      currency: {enum: [EUR, USD]}
      coupon: {type: string, nullable: true}
      note: {type: string}
      price: {type: Money}
      lines: {type: array, items: {properties: {sku: {type: string, required: true}}}, maxItems: 2}
      from: {type: string}
      rev: {const: 2, required: true}
  Signed In:
    properties:
      user_id: {type: string, required: true}
      method: {enum: [password], required: true}
  Paid:
    schema:
      additionalProperties: false
      properties: {method: {enum: [card, cash]}, brand: {type: string}}
      required: [method]
      if: {properties: {method: {const: card}}}
      then: {required: [brand]}
  Old One: {status: deprecated}
  Not Yet: {status: draft}
  Gone Away: {status: removed}
"""
Scan = Callable[..., Status]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated package, to be copied."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "plan.yaml").write_text(PLAN, "utf-8")
    codegen.write(codegen.render(load(folder / "plan.yaml")), folder / "itly")
    return folder / "itly"


def put(package: Path, where: Path) -> None:
    where.mkdir(parents=True)
    for file in package.iterdir():
        (where / file.name).write_bytes(file.read_bytes())


@pytest.fixture
def scan(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scan:
    """Scan a project of these files, by name; one text alone is `app.py`."""
    monkeypatch.chdir(tmp_path)

    def scan(*texts: str, name: str = "itly", excluded: tuple[str, ...] = (), **files: str) -> Status:
        put(package, tmp_path.joinpath(*name.split(".")))
        for path, text in {**({"app.py": texts[0]} if texts else {}), **files}.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        (found,) = statuses(Project(base=tmp_path, package=name), excluded=excluded)
        return found

    return scan


def used(status: Status) -> set[tuple[str, int]]:
    """Every line on which something of the plan is used."""
    places = [place for event in status.events for place in event.places if place.role != "annotation"]
    places += [place for found in status.calls.values() for place in found]
    return {(place.file, place.line) for place in places}


def marked(files: dict[str, str]) -> set[tuple[str, int]]:
    """The lines that end in `# use`."""
    return {
        (name, number)
        for name, text in files.items()
        for number, line in enumerate(text.splitlines(), 1)
        if line.endswith("# use")
    }


def said(status: Status, *kinds: str) -> list[str]:
    return [str(finding) for finding in status.findings if finding.kind in (kinds or ("unknown", "removed", "bad"))]


NAMES = {
    "a plain import": "import itly\nitly.order_placed(total=1)  # use\n",
    "an alias": "import itly as analytics\nanalytics.order_placed(total=1)  # use\nitly.order_placed(total=1)\n",
    "names from it": "from itly import order_placed, SignedIn as E\norder_placed(total=1)  # use\nE(method='password')  # use\n",
    "a star": "from itly import *\norder_placed(total=1)  # use\ntrack('u', OldOne())  # use\nprint(other())\n",
    "identify, page and alias": "import itly\nitly.identify('u')  # use\nitly.alias('u', 'v')  # use\nitly.page('u', shelf='s')  # use\n",
    "assignments": "import itly\nx = itly.order_placed(total=1)  # use\na = b = itly.old_one  # use\nb()  # use\n",
    "an annotated assignment": "import itly\nf: object = itly.old_one  # use\nf()  # use\n",
    "a tuple": "import itly\na, (b, c) = itly.old_one, (1, itly.not_yet)  # use\na()  # use\nb()\nc()  # use\n",
    "a return": "import itly\ndef f():\n    return itly.order_placed(total=1)  # use\n",
    "a lambda": "import itly\nf = lambda u: itly.order_placed(u, total=1)  # use\n",
    "a class body": "import itly\nclass A:\n    f = itly.old_one  # use\n    f()  # use\n    def g(self):\n        return f()\n",
    "a class body before it binds the name": "import itly\nclass A:\n    itly.old_one()  # use\n    itly = Other()\n    itly.old_one()\n",
    "a decorator and a default": "import itly\n@itly.old_one  # use\ndef f(g=itly.not_yet):  # use\n    g()\n",
    "an await, a yield, an f-string": (
        "import itly\nasync def f():\n    await g(itly.old_one)  # use\n    yield itly.not_yet  # use\n"
        "    return f'{itly.old_one()}'  # use\n"
    ).replace("    return f", "    x = f"),
    "a comprehension": "import itly\n[itly.old_one(u) for u in users]  # use\n{e: e() for e in (itly.old_one, itly.not_yet)}  # use\n",
    "a loop over a list": "import itly\nfor f in (itly.old_one,):  # use\n    f()  # use\n",
    "a choice": "import itly\nf = itly.old_one if x else itly.not_yet  # use\nf()  # use\ng = x or itly.old_one  # use\ng()  # use\n",
    "a walrus": "import itly\nif (f := itly.old_one):  # use\n    f()  # use\n[(h := itly.old_one) for x in y]  # use\nh()  # use\n",
    "a callback": "import itly\nsignal.connect(itly.order_placed)  # use\n",
    "getattr": "import itly\ngetattr(itly, 'old_one')()  # use\ng = getattr(itly, 'not_yet')  # use\ng()  # use\ngetattr(other, 'old_one')()\n",
    "import_module": "import importlib\ni = importlib.import_module('itly')\ni.old_one()  # use\nimportlib.import_module('other').old_one()\n",
    "an event by name": "import itly\nitly.track('u', itly.Event('Old One', {}))  # use\nitly.track('u', itly.Event(name, {}))\n",
    "a track of a class": "import itly\nitly.track('u', itly.OrderPlaced(total=1))  # use\n",
    "a call over lines": "import itly\n(\n    itly  # use\n    .old_one()\n)\n",
    "an import in a function": "def f():\n    import itly\n    itly.old_one()  # use\ndef g():\n    itly.old_one()\n",
    "an import under a condition": "try:\n    import itly\nexcept ImportError:\n    itly = None\nif itly:\n    itly.old_one()  # use\n",
    "an import for types only": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import itly\ndef f():\n    itly.old_one()  # use\n",
    "a global": "import itly\nf = None\ndef setup():\n    global f\n    f = itly.old_one  # use\ndef g():\n    f()  # use\n",
    "a global set by a function above": "import itly\ndef setup():\n    global f\n    f = itly.old_one  # use\nf = None\nsetup()\nf()  # use\n",
    "a global of a function around": "import itly\ndef f(itly):\n    def g():\n        global itly\n        return lambda: itly.old_one()  # use\n",
    "a rebinding after a function": "import itly\ndef f():\n    itly.old_one()  # use\nf()\nitly = Other()\nitly.old_one()\n",
    "an import after a function": "def f():\n    itly.old_one()  # use\nimport itly\n",
    "a nonlocal": "import itly\ndef a():\n    f = None\n    def b():\n        nonlocal f\n        f = itly.old_one  # use\n    f()  # use\n",
    "other objects": "import other\nother.order_placed()\nself.order_placed()\nclient().old_one()\nother.itly.old_one()\norder_placed()\n",
    "another package of that name": "import other.itly\nfrom other import itly\nitly.order_placed()\nother.itly.old_one()\n",
    "the core": "import itly_core\nimport itly_web.django\nitly_core.old_one()\nitly_web.old_one()\n",
    "a parameter": "import itly\ndef f(itly):\n    itly.old_one()\ndef g(*itly, old_one=1, **x):\n    itly.old_one()\nh = lambda itly: itly.old_one()\n",
    "a shadowing assignment": "import itly\ndef f():\n    itly = Other()\n    itly.old_one()\n",
    "a rebinding": "import itly\nitly.old_one()  # use\nitly = Other(itly)\nitly.old_one()\ndef f():\n    itly.old_one()\n",
    "a rebinding back": "import itly\nitly = Other(itly)\nimport itly\nitly.old_one()  # use\n",
    "a name deleted": "import itly\ndel itly\nitly.old_one()\n",
    "with, except, match, class and def": (
        "import itly\ndef f():\n    with x as itly:\n        itly.old_one()\n"
        "def g():\n    for itly in x:\n        itly.old_one()\n"
        "def h():\n    match x:\n        case {'a': itly}:\n            itly.old_one()\n"
        "def i():\n    class itly: ...\n    itly.old_one()\n"
        "def j():\n    def itly(): ...\n    itly.old_one()\n"
        "def k():\n    try: ...\n    except E as itly:\n        itly.old_one()\n"
    ),
    "comprehension variables": "import itly\n[itly.old_one() for itly in x]\nitly.old_one()  # use\n",
    "a class variable is not seen in methods": "class A:\n    import itly\n    def f(self):\n        itly.old_one()\n",
    "writing to it": "import itly\nitly.old_one = None\nitly.not_yet.x = 1  # use\n",
    "texts and comments": "import itly\n'itly.old_one()'\n# itly.old_one()\nx['itly.old_one']\n",
    "an annotation is no use": "import itly\ndef f(e: itly.OldOne) -> itly.NotYet: ...\nx: itly.OldOne = g()\n",
    "long conditions and sums": (
        "import itly\nx = " + " + ".join(["'a'"] * 900) + "\nif a: pass\n" + "elif a: pass\n" * 900 + "itly.old_one()  # use\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("text", NAMES.values(), ids=list(NAMES))
def test_what_names_mean(text: str, scan: Scan) -> None:
    ast.parse(text)

    status = scan(text)

    assert used(status) == marked({"app.py": text})
    assert said(status, "unknown", "unreadable") == []


PROJECTS: dict[str, tuple[str, dict[str, str]]] = {
    "relative imports": (
        "shop.events",
        {
            "shop/__init__.py": "",
            "shop/a.py": "from . import events\nevents.old_one()  # use\n",
            "shop/b.py": "from .events import old_one as f\nf()  # use\n",
            "shop/c/d.py": "from .. import events as e\nfrom ...shop.events import not_yet\ne.old_one()  # use\nnot_yet()  # use\n",
            "shop/c/e.py": "from . import events\nfrom .events import old_one\nevents.old_one()\nold_one()\n",
            "shop/c/f.py": "from ......too.far import events\nevents.old_one()\n",
        },
    ),
    "a package within a package": (
        "shop.events",
        {
            "a.py": "import shop.events\nshop.events.old_one()  # use\nshop.other.old_one()\nshop.old_one()\n",
            "b.py": "import shop.events as e\ne.old_one()  # use\nshop.events.old_one()\n",
            "c.py": "from shop import events\nimport shop.models\nevents.old_one()  # use\nshop.events.old_one()  # use\n",
            "d.py": "import events\nevents.old_one()\n",
        },
    ),
    "names passed on": (
        "itly",
        {
            "shop/tracking.py": "import itly\nfrom itly import old_one as past\n\ndef wrapper():\n    itly.old_one()  # use\n",
            "shop/__init__.py": "from .tracking import *\n",
            "shop/views.py": "from .tracking import past\nfrom . import tracking\npast()  # use\ntracking.itly.old_one()  # use\ntracking.wrapper()\n",
            "shop/more.py": "from shop.tracking import itly as analytics\nanalytics.old_one()  # use\n",
            "shop/stars.py": "from shop import *\npast()  # use\n",
            "shop/absolute.py": "from tracking import itly\nitly.old_one()\n",
            "src/app/__init__.py": "",
            "src/app/tracking.py": "from itly import old_one as past\n",
            "src/app/views.py": "from app.tracking import past\npast()  # use\n",
            "third.py": "import shop.tracking\nimport shop\nshop.tracking.past()  # use\nshop.past()  # use\n",
            "circle_a.py": "from circle_b import itly\nfrom circle_b import *\nitly.old_one()\n",
            "circle_b.py": "from circle_a import itly\nfrom circle_a import *\n",
        },
    ),
    "a module of the same name elsewhere": (
        "itly",
        {
            "tests/itly.py": "def old_one(): ...\n",
            "tests/__init__.py": "",
            "tests/a.py": "from . import itly\nitly.old_one()\n",
            "tests/b.py": "from .itly import old_one\nold_one()\n",
            "tests/c.py": "from .. import itly\nitly.old_one()  # use\n",
        },
    ),
    "a package whose name has other letters": ("état", {"a.py": "import état\nétat.old_one()  # use\n"}),
}


@pytest.mark.parametrize(("name", "files"), PROJECTS.values(), ids=list(PROJECTS))
def test_imports_across_files(name: str, files: dict[str, str], scan: Scan) -> None:
    status = scan(name=name, **files)

    assert used(status) == marked(files)
    assert said(status, "unknown", "unreadable") == []


def test_a_call_says_where_it_is_and_what_it_is(scan: Scan) -> None:
    status = scan("import itly\nif True:\n    f = [itly.old_one, itly.old_one(\n    )]\n")

    (event,) = [event for event in status.events if event.name == "Old One"]

    assert [(place.file, place.line, place.column, place.role) for place in event.places] == [
        ("app.py", 3, 10, "value"),
        ("app.py", 3, 24, "call"),
    ]


def test_events_without_a_call_are_missing_unless_they_are_drafts_or_on_their_way_out(scan: Scan) -> None:
    status = scan("import itly\nitly.signed_in(method='password')\ndef f(e: itly.OrderPlaced): ...\n")

    assert said(status, "missing") == [
        "missing: Order Placed is sent nowhere: itly.order_placed",
        "missing: Paid is sent nowhere: itly.paid",
    ]
    assert {event.name: event.status for event in status.events} == {
        "Order Placed": "active", "Signed In": "active", "Paid": "active", "Old One": "deprecated", "Not Yet": "draft",
    }  # fmt: skip


def test_what_is_deprecated_removed_or_unknown(scan: Scan) -> None:
    status = scan(
        "import itly\n"
        "itly.old_one()\n"
        "itly.gone_away()\n"
        "itly.track('u', itly.GoneAway())\n"
        "itly.track('u', itly.Event('Gone Away'))\n"
        "itly.order_place(total=1)\n"
        "itly.track('u', itly.Event('Order Place', {}))\n"
        "def f(e: itly.OrderPlcaed): ...\n"
        "def g(e: itly.OldOne): ...\n"
        "itly.load(itly.Options(environment=itly.Environment.PRODUCTION)); itly.flush(); itly.__file__; itly._package\n"
    )

    assert said(status, "unknown", "removed", "deprecated") == [
        "app.py:2: deprecated: Old One is deprecated in the plan",
        "app.py:3: removed: gone_away: the event 'Gone Away' was removed from the plan",
        "app.py:4: removed: GoneAway: the event 'Gone Away' was removed from the plan",
        "app.py:5: removed: the event 'Gone Away' was removed from the plan",
        "app.py:6: unknown: there is no 'order_place' in the package; did you mean 'order_placed'?",
        "app.py:7: unknown: there is no event 'Order Place' in the plan; did you mean 'Order Placed'?",
        "app.py:8: unknown: there is no 'OrderPlcaed' in the package; did you mean 'OrderPlaced'?",
    ]


def test_a_name_that_may_be_something_else_is_not_called_unknown(scan: Scan) -> None:
    assert said(scan("import itly\nif TESTING:\n    itly = Fake()\nitly.calls\n")) == []


def test_a_package_that_may_be_missing_is_still_the_package(scan: Scan) -> None:
    text = "try:\n    import itly\nexcept ImportError:\n    itly = None\nitly.calls\nitly.order_placed()\n"

    assert [line[:15] for line in said(scan(text))] == ["app.py:5: unkno", "app.py:6: bad: "]


GOOD_CALLS = [
    "itly.order_placed('u', total=1)",
    "itly.order_placed(total=1.5, currency='EUR', coupon=None, note=None, options=itly.EventOptions())",
    "itly.order_placed(user_id='u', total=x)",
    "itly.order_placed(*a, **k)",
    "itly.order_placed(**k, currency='EUR')",
    "itly.order_placed(total=1, price={'amount': x, 'currency': 'EUR'})",
    "itly.order_placed(total=1, price={'amount': 1, **more})",
    "itly.order_placed(total=1, price={key: 1})",
    "itly.order_placed(total=1, lines=[{'sku': x}, *more])",
    "itly.order_placed(total=1, lines=({'sku': 's'}, {'sku': f'{x}'}))",
    "itly.order_placed(total=1, from_='here')",
    "itly.OrderPlaced(total=1)",
    "itly.track('u', itly.Event('Order Placed', {'total': 1, 'from': 'here'}))",
    "itly.track('u', itly.Event('Order Placed', properties))",
    "itly.track('u', itly.Event('Order Placed', {**properties, 'currency': 'EUR'}))",
    "itly.signed_in(method='password')",
    "itly.signed_in('u', method='password')",
    "itly.SignedIn(method='password')",
    "itly.paid(method='cash')",
    "itly.paid(method=x)",
    "itly.paid(method='card', brand=x)",
    "itly.identify('u', plan='pro')",
    "itly.group('u', 'g', anything=1)",
    "itly.page('u', 'Shop', 'Start', shelf='ink')",
    "itly.Context(release='1')",
    "functools.partial(itly.order_placed, currency='EUR')",
]


@pytest.mark.parametrize("call", GOOD_CALLS)
def test_a_good_call(call: str, scan: Scan) -> None:
    assert said(scan(f"import itly\n{call}\n")) == []


BAD_CALLS = [
    ("itly.order_placed('u')", ["order_placed needs 'total', which is not given"]),
    ("itly.order_placed(total=None)", ["order_placed needs 'total', and None is not allowed there"]),
    ("itly.order_placed(total='1')", ['order_placed: total "1" is not of type']),
    ("itly.order_placed(total=True)", ["order_placed: total true is not of type"]),
    ("itly.order_placed(total=-1)", ["order_placed: total -1"]),
    ("itly.order_placed(total=1, currency='GBP')", ['order_placed: currency "GBP" is not one of']),
    ("itly.order_placed(**k, currency='GBP')", ['order_placed: currency "GBP" is not one of']),
    ("itly.order_placed(total=1, curency=x)", ["order_placed has no 'curency' in the plan; did you mean 'currency'?"]),
    ("itly.order_placed('u', 1, total=2)", ["order_placed takes 1 arguments by position: only user_id"]),
    ("itly.order_placed(total=1, from_=2)", ["order_placed: from_ 2 is not of type"]),
    (
        "itly.order_placed(total=1, price={'amount': x, 'currency': 'GBP'})",
        ['order_placed: price.currency "GBP" is not one of'],
    ),
    ("itly.order_placed(total=1, price={'amount': x})", ["order_placed: price.currency is required and missing"]),
    ("itly.order_placed(total=1, lines=[x, {'sku': 1}])", ["order_placed: lines[1].sku 1 is not of type"]),
    ("itly.order_placed(total=1, lines=[x, x, x])", ["order_placed: lines "]),
    ("itly.OrderPlaced('u', total=1)", ["OrderPlaced takes 0 arguments by position: give each by name"]),
    ("itly.track('u', itly.OrderPlaced())", ["OrderPlaced needs 'total', which is not given"]),
    ("itly.track('u', itly.Event('Order Placed'))", ["OrderPlaced needs 'total', which is not given"]),
    ("itly.track('u', itly.Event('Order Placed', {'total': 'x'}))", ['OrderPlaced: total "x" is not of type']),
    ("itly.signed_in('u', method='magic')", ['signed_in: method "magic"']),
    ("itly.paid(method='card')", ["paid: brand is required and missing"]),
    ("itly.identify('u', plan='gold')", ['identify: plan "gold" is not one of']),
    ("itly.identify('u', plam='pro')", ["identify has no 'plam' in the plan; did you mean 'plan'?"]),
    ("itly.page('u', 'Shop', 'Start')", ["page needs 'shelf', which is not given"]),
    ("itly.Context()", ["Context needs 'release', which is not given"]),
    ("f = itly.order_placed; f()", ["order_placed needs 'total', which is not given"]),
]


@pytest.mark.parametrize(("call", "messages"), BAD_CALLS, ids=[call for call, _ in BAD_CALLS])
def test_a_bad_call(call: str, messages: list[str], scan: Scan) -> None:
    found = said(scan(f"import itly\n{call}\n"))

    assert len(found) == len(messages), found
    for line, message in zip(found, messages, strict=True):
        assert line.startswith(f"app.py:2: bad: {message}")


def test_a_bad_argument_is_named_by_its_own_line(scan: Scan) -> None:
    (line,) = said(scan("import itly\nitly.order_placed(\n    total=1,\n    currency='GBP',\n)\n"))

    assert line.startswith("app.py:4: bad: ")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"import itly\nitly.old_one(\n", "line 2"),
        (b"import itly\n\x00", "is no Python that can be read here"),
        ("import itly\nx = 'état'\n".encode("latin-1"), "is no Python that can be read here"),
        (b"import itly\nx = " + b"(" * 5000 + b")" * 5000, "is no Python that can be read here"),
        (b"import itly\nx = a" + b".b()" * 3000, "is no Python that can be read here"),
    ],
)
def test_a_file_that_is_no_python_is_named_and_the_rest_is_read(
    data: bytes, why: str, scan: Scan, tmp_path: Path
) -> None:
    (tmp_path / "broken.py").write_bytes(data)

    status = scan("import itly\nitly.old_one()\n")

    (line,) = said(status, "unreadable")
    assert line.startswith("broken.py: unreadable: ")
    assert why in line
    assert used(status) == {("app.py", 2)}


def test_which_files_are_looked_into(scan: Scan, tmp_path: Path) -> None:
    text = "import itly\nitly.old_one()\n"
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text("build/\nlocal.py\n")

    status = scan(
        **{
            "app.py": text,
            "deep/er/app.py": text,
            "notes.txt": text,
            "stub.pyi": text,
            ".hidden/app.py": text,
            "build/lib/app.py": text,
            "local.py": text,
            "env/pyvenv.cfg": "",
            "env/lib/app.py": text,
            "lib/site-packages/app.py": text,
            "node_modules/app.py": text,
            "left/out.py": text,
            "itly/extra.py": text,
            "itly/sub/extra.py": text,
        },
        excluded=("left/*",),
    )

    assert used(status) == {("app.py", 2), ("deep/er/app.py", 2)}
    assert status.files == 2


def test_links_in_circles_end_and_pipes_are_not_read(scan: Scan, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    os.mkfifo(tmp_path / "pipe.py")

    assert used(scan("import itly\nitly.old_one()\n")) == {("app.py", 2)}


def test_places_may_be_written_in_any_way(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(package, tmp_path / "real" / "shop" / "itly")
    (tmp_path / "real" / "shop" / "__init__.py").write_text("")
    (tmp_path / "real" / "shop" / "app.py").write_text("from . import itly\nitly.old_one()\n")
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    monkeypatch.chdir(tmp_path / "real")

    for base, place in (("link", "../link/shop"), ("real", "shop/../shop/app.py"), ("link/../link", "../link")):
        project = Project(base=tmp_path / base, package="shop.itly")
        (found,) = statuses(project, [Path(place)])
        assert used(found) == {("shop/app.py", 2)}


def test_a_place_may_be_a_file_and_must_be_there(scan: Scan, tmp_path: Path) -> None:
    scan("import itly\nitly.old_one()\n", **{"other.py": "import itly\nitly.old_one()\n"})
    project = Project(base=tmp_path)

    (found,) = statuses(project, [Path("other.py")])

    assert used(found) == {("other.py", 2)}
    with pytest.raises(ConfigError, match="no such file or directory"):
        statuses(project, [Path("missing")])


def test_each_file_belongs_to_the_nearest_package(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        put(package, tmp_path / name / "itly")
        (tmp_path / name / "app.py").write_text("import itly\nitly.old_one()\n")
    (tmp_path / "nobody.py").write_text("import itly\nitly.old_one()\n")

    assert [used(found) for found in statuses(Project(base=tmp_path))] == [{("one/app.py", 2)}, {("two/app.py", 2)}]


def test_without_a_package_there_is_nothing_to_say(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="run `itly pull` again"):
        statuses(Project(base=tmp_path, package="not_pulled_yet"))


def test_a_package_that_was_edited_is_named(package: Path, tmp_path: Path) -> None:
    put(package, tmp_path / "itly")
    (tmp_path / "itly" / "_plan.json").write_text('{"itly": 1, "plan": {}, "events": {"A": {"schema": {}}}}')

    with pytest.raises(PlanError, match="is not what a pull wrote"):
        statuses(Project(base=tmp_path))


def test_every_call_in_the_samples_is_found_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted anew from the tokens of the sources: what follows `itly.` where a file has the line `import itly`."""
    monkeypatch.chdir(ROOT)
    samples = Path("sample_projects")

    found = {
        (place.file, place.line, name)
        for status in statuses(Project(base=samples, package="itly"))
        for name, places in [*((event.function, event.places) for event in status.events), *status.calls.items()]
        for place in places
    }

    counted = {call for file in sorted(samples.rglob("*.py")) for call in calls_by_tokens(file)}
    assert found == counted
    assert len(found) > 20


def calls_by_tokens(file: Path) -> set[tuple[str, int, str]]:
    text = file.read_text("utf-8")
    is_generated = (file.parent / "_plan.json").exists()
    if is_generated or not re.search(r"^import itly$", text, re.MULTILINE):
        return set()
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.string.strip()]
    return {
        (str(file), one.start[0], name.string)
        for one, dot, name, after in zip(tokens, tokens[1:], tokens[2:], tokens[3:], strict=False)
        if (one.string, dot.string, after.string) == ("itly", ".", "(")
    }


def test_the_samples_call_what_their_plans_have() -> None:
    for project in ("django_shop", "flask_blog"):
        (found,) = statuses(Project(base=ROOT / "sample_projects" / project))

        assert found.findings == ()


def test_the_kinds_in_the_documentation_are_those_in_the_code() -> None:
    text = (ROOT / "docs" / "plan-checks.md").read_text("utf-8")

    assert tuple(re.findall(r"^\| `(\w+)` \| .* \| (?:yes|no) \|$", text, re.MULTILINE)) == KINDS


# --- what is found, against what happens when the code runs

NAME = st.sampled_from(["itly", "a", "b"])
SIMPLE = st.one_of(
    st.builds("import itly as {}".format, NAME),
    st.builds("from itly import old_one as {}".format, NAME),
    st.builds("{} = {}".format, NAME, NAME),
    st.builds("{} = {}.old_one".format, NAME, NAME),
    st.builds("{} = {} = {}.old_one".format, NAME, NAME, NAME),
    st.builds("{}, {} = {}, {}.old_one".format, NAME, NAME, NAME, NAME),
    st.builds("{} = Other()".format, NAME),
    st.builds("{} = getattr({}, 'old_one')".format, NAME, NAME),
    st.builds("{}()".format, NAME),
    st.builds("{}.old_one()".format, NAME),
    st.builds("print([{}.old_one() for {} in [Other()]])".format, NAME, NAME),
)
LATER = st.builds("print((lambda {}: {}.old_one())(Other()))".format, NAME, NAME)
Block = list[str]
BLOCKS = st.recursive(
    st.one_of(SIMPLE, LATER).map(lambda line: [line]),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=4).map(lambda blocks: [line for block in blocks for line in block]),
        st.builds(lambda name, body: [f"def call({name}):", *indented(body), "call(Other())"], NAME, inner),
        st.builds(lambda body: ["def call():", *indented(body), "call()"], inner),
        st.builds(lambda body: ["class Some:", *indented(body)], inner),
        st.builds(lambda name, body: ["def call():", f"    global {name}", *indented(body), "call()"], NAME, inner),
    ),
    max_leaves=12,
)
BRANCHES = st.builds(
    lambda is_so, one, two: [f"if {is_so}:", *indented(one), "else:", *indented(two)], st.booleans(), BLOCKS, BLOCKS
)


def indented(lines: Block) -> Block:
    return [f"    {line}" for line in lines]


class Other:
    """Something that can do anything, and is not the package."""

    def __getattr__(self, name: str) -> Other:
        return self

    def __call__(self, *arguments: object) -> Other:
        return self


def run_lines(text: str) -> tuple[set[int], bool]:
    """The lines on which running code calls `old_one`, and whether it ran to its end."""
    called = set()

    def old_one(*_: object) -> Other:
        called.add(sys._getframe(1).f_lineno)
        return Other()

    def import_(name: str, *_: object) -> ModuleType:
        assert name == "itly"
        module = ModuleType(name)
        vars(module)["old_one"] = old_one
        return module

    builtins = {**vars(__import__("builtins")), "__import__": import_, "print": lambda *_: None}
    try:
        exec(compile(text, "app.py", "exec"), {"__builtins__": builtins, "Other": Other, "__name__": "app"})
    except (NameError, TypeError, AttributeError):  # not bound yet, or the package used like a function
        return called, False
    return called, True


def called_lines(text: str, package: Package) -> set[int]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder).resolve() / "app.py"
        file.write_text(text, "utf-8")
        return {use.line for use in Code(package, [file]).uses() if use.role == "call"}


PACKAGE = Package(("itly",), Path("/nowhere/itly"), frozenset({"old_one"}))


@given(st.lists(st.one_of(BLOCKS, BRANCHES), min_size=1, max_size=5))
def test_every_call_that_happens_is_found(blocks: list[Block]) -> None:
    text = "\n".join(["import itly", *(line for block in blocks for line in block)])

    happened, _ = run_lines(text)

    assert happened <= called_lines(text, PACKAGE), text


@given(st.lists(SIMPLE, min_size=1, max_size=12))
def test_in_code_without_branches_nothing_else_is_found(lines: Block) -> None:
    text = "\n".join(["import itly", "a = b = Other()", *lines])

    happened, to_its_end = run_lines(text)

    if to_its_end:
        assert happened == called_lines(text, PACKAGE), text
