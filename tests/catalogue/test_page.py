"""The catalogue says what the plan says, shows text as text, and asks nothing of anybody."""

from __future__ import annotations

import base64
import hashlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from itly_core.catalogue import page
from itly_core.plans import load
from itly_core.plans.document import Plan, Section
from tests.codegen.plans import CORPUS, ROOT, closed, event, plan_of
from tests.codegen.test_hostile_plans import SPICES, plans
from tests.codegen.test_verdicts import corpus_files

VOID = {"input", "meta"}
ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "nav", "main", "header", "section", "article", "h1", "h2", "h3", "h4",
    "p", "a", "ul", "li", "dl", "div", "dt", "dd", "span", "code", "pre", "small", "strong", "table", "thead", "tbody", "tr",
    "th", "td", "details", "summary", "form", "label", "input", "select", "option", "script",
}  # fmt: skip
HOSTILE = [
    "<script>CANARY()</script>", "</script><script>CANARY()</script>", "</style><img src=x onerror=CANARY()>",
    '"><img src=x onerror=CANARY()>', "' onmouseover='CANARY()", '" autofocus onfocus="CANARY()', "javascript:CANARY()",
    "[x](javascript:CANARY())", "data:text/html,<script>CANARY()</script>", "https://a.example/\"onclick='CANARY()'",
    "https://a.example/<b>", "&lt;b&gt; &amp;", "&#106;avascript:CANARY()", "<!-- ", "-->", "<![CDATA[", "]]>", "<", ">",
    "</title>", "<base href=//evil.example>", "<svg/onload=CANARY()>", "\x1b[31m\x00\x07", "\u202egnp.exe", "a\u2028b\u200b",
    "\U000e0041\ufeff", *SPICES,
]  # fmt: skip
PLAN = """
itly: 1
plan: {name: Shop, version: 3.1.0, owner: data-team, source: python}
types:
  Currency: {type: string, pattern: "^[A-Z]{3}$"}
context: {properties: {app_version: {type: string, required: true}}}
identify: {properties: {email: {type: string, format: email, pii: email}}}
group: {properties: {plan: {enum: [free, pro]}}}
page: {properties: {path: {type: string}}}
events:
  Order Completed:
    description: "The customer paid. See https://shop.example/orders."
    version: 1.2.0
    owner: checkout-team
    status: deprecated
    since: 2026-01-10
    expires: 2027-01-10
    tags: [revenue]
    examples: [{order_id: A-1, currency: EUR, gift: true, note: null}]
    properties:
      user_id: {type: string, required: true, pii: id}
      order_id: {type: string, required: true, description: On the invoice.}
      currency: {type: Currency, required: true}
      items: {type: array, items: {properties: {sku: {type: string, required: true}}}}
      gift: {type: boolean}
      note: {type: string, nullable: true, maxLength: 20}
      from: {enum: [web, app]}
      revision: {const: 4}
  Signed Up:
    properties: {plan: {enum: [free, pro], required: true}, seats: {type: integer}}
  Old Thing: {status: removed}
"""


@dataclass
class Read(HTMLParser):
    """What a browser makes of a page, as far as that matters here."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    code: dict[str, str] = field(default_factory=dict)
    comments: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id" and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            self.code[self.open[-1]] = data
        else:
            self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    def unknown_decl(self, data: str) -> None:
        self.comments.append(data)

    @property
    def said(self) -> str:
        return " ".join(" ".join(self.texts).split())


def read(content: bytes) -> Read:
    found = Read()
    found.feed(content.decode())
    found.close()
    assert found.open == []
    return found


def harmless(content: bytes) -> Read:
    """The page, read, with nothing in it that runs, loads or leads elsewhere than it says."""
    found = read(content)
    assert {tag for tag, _ in found.elements} <= ELEMENTS
    assert [tag for tag, _ in found.elements].count("script") == [tag for tag, _ in found.elements].count("style") == 1
    assert found.comments == []
    for tag, attributes in found.elements:
        assert not [
            name for name in attributes if name.startswith("on") or name in ("src", "style", "srcdoc", "action")
        ]
        if "href" in attributes:
            assert tag == "a"
            assert re.match(r"#|https?://", attributes["href"] or "")
    assert len(found.ids) == len({*found.ids})
    assert {target for target in links(found) if target} <= {*found.ids}
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ufeff\U000e0000-\U000e0fff]", content.decode()
    )
    return found


def links(found: Read) -> list[str]:
    """The places within the page that it links to."""
    targets = [attributes.get("href") or "" for tag, attributes in found.elements if tag == "a"]
    return [target[1:] for target in targets if target.startswith("#")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("plan") / "plan.yaml"
    file.write_text(PLAN, "utf-8")
    return file


def rows(content: bytes, anchor: str) -> dict[str, list[str]]:
    """Property -> the other cells of its row, of one article."""
    article = re.search(rf'<article[^>]* ?id="{anchor}".*?</article>', content.decode(), re.DOTALL)
    assert article is not None
    found = {}
    for row in re.findall(r"<tr>(.*?)</tr>", article.group(), re.DOTALL):
        cells = [read(cell.encode()).said for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)]
        found[cells[0]] = cells[1:]
    return found


def test_an_event_is_shown_with_all_that_the_plan_says_of_it(shop: Path) -> None:
    content = page(load(shop))
    said = harmless(content).said

    for text in ("The customer paid.", "1.2.0", "checkout-team", "deprecated", "2026-01-10", "2027-01-10", "revenue"):
        assert text in said
    assert rows(content, "event-order_completed") == {
        "Property": ["Type", "Required", "Allowed", "Description", "Personal data"],
        "currency": ["Currency", "required", "", "", ""],
        "from in Python from_": ["string", "optional", "web app", "", ""],
        "gift": ["boolean", "optional", "", "", ""],
        "items": ["array of object", "optional", "", "", ""],
        "items[].sku": ["string", "required", "", "", ""],
        "note": ["string or null", "optional", "at most 20 characters", "", ""],
        "order_id": ["string", "required", "", "On the invoice.", ""],
        "revision": ["integer", "constant", "always 4", "", ""],
        "user_id the call's user id": ["string", "required", "", "", "id"],
    }
    assert 'itly.order_completed("user-1", currency="EUR", gift=True, note=None, order_id="A-1")' in said
    assert '"order_id": "A-1"' in said


def test_without_an_example_the_call_has_what_is_required(shop: Path) -> None:
    assert 'itly.signed_up("user-1", plan="free")' in harmless(page(load(shop))).said


def test_the_other_calls_types_and_removed_events_are_there(shop: Path) -> None:
    content = page(load(shop))
    found = harmless(content)

    assert rows(content, "call-identify")["email"] == ["string", "optional", "format email", "email"]
    assert 'itly.group("user-1", "group-1", plan="free")' in found.said
    assert 'itly.page("user-1", "Category", "Name", path="...")' in found.said
    assert 'itly.Context(app_version="...")' in found.said
    assert rows(content, "type-1") == {
        "Value": ["Type", "Required", "Allowed"],
        "value": ["string", "optional", "matches ^[A-Z]{3}$"],
    }
    assert "type-1" in links(found)
    assert "Old Thing" in found.said
    assert "event-old_thing" not in found.ids


def test_every_event_is_linked_and_can_be_searched(shop: Path) -> None:
    found = harmless(page(load(shop)))
    articles = [attributes for tag, attributes in found.elements if tag == "article" and "data-search" in attributes]

    assert [attributes["id"] for attributes in articles] == ["event-order_completed", "event-signed_up"]
    assert {"event-order_completed", "event-signed_up"} <= {*links(found)}
    assert "on the invoice." in (articles[0]["data-search"] or "")
    assert articles[0]["data-tag"] == '["revenue"]'


def test_nothing_is_hidden_without_the_script_but_its_own_form(shop: Path) -> None:
    found = read(page(load(shop)))

    assert [attributes.get("id") for _, attributes in found.elements if "hidden" in attributes] == ["filters"]


def test_only_the_style_and_script_of_the_page_may_run_and_nothing_be_loaded(shop: Path) -> None:
    found = read(page(load(shop)))
    (policy,) = [
        attributes["content"] or ""
        for _, attributes in found.elements
        if attributes.get("http-equiv") == "Content-Security-Policy"
    ]

    assert policy.startswith("default-src 'none';")
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(found.code[kind].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
        assert not re.search(r"https?:|//[a-z]|url\(|@import|fetch|XMLHttp|innerHTML|eval", found.code[kind])


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_text_stays_text(hostile: str) -> None:
    schema = closed(
        {
            hostile: {"enum": [hostile, None], "description": hostile, "x-pii": hostile, "default": hostile},
            "other": {"const": hostile, "pattern": hostile, "format": hostile},
            "named": {"$ref": "#/$defs/thing"},
        },
        [hostile],
        **{"$defs": {"thing": {"type": "string", "description": hostile}}},
    )
    section = Section(
        name=hostile, schema=schema, description=hostile, version=hostile, owner=hostile, since=hostile, tags=(hostile,),
        sources=(hostile,), examples=({hostile: hostile},),
    )  # fmt: skip
    removed = Section(name=f"{hostile}!", schema=schema, status="removed")
    content = page(plan_of(section, event("B"), removed, name=hostile, version=hostile, owner=hostile, source=hostile))

    found = harmless(content)

    visible = hostile and hostile.isprintable() and " ".join(hostile.split()) == hostile
    if visible:
        assert found.texts.count(hostile) >= 4  # title, heading, link, property


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(plans())
def test_any_plan_gives_a_harmless_page_with_all_its_events(plan: Plan) -> None:
    found = harmless(page(plan))

    assert len([value for value in found.ids if value.startswith("event-")]) == len(plan.events)


def test_the_order_of_a_plan_makes_no_difference() -> None:
    text, null = {"type": "string"}, {"type": "null"}
    one = plan_of(event("B", {"x": text, "a": null}), event("A b"))
    other = plan_of(event("A b"), event("B", {"a": null, "x": text}))

    assert _without_schema(page(one)) == _without_schema(page(other))


def _without_schema(content: bytes) -> str:
    return re.sub(r"<details>.*?</details>", "", content.decode(), flags=re.DOTALL)


def test_the_bytes_are_the_same_under_another_hash_seed_and_locale(shop: Path) -> None:
    code = "import sys; from itly_core.catalogue import page; from itly_core.plans import load; sys.stdout.buffer.write(page(load(sys.argv[1])))"
    answers = {
        subprocess.run(
            [sys.executable, "-c", code, shop], cwd=ROOT, env={**os.environ, **more}, capture_output=True, check=True
        ).stdout
        for more in ({"PYTHONHASHSEED": "1", "LC_ALL": "C"}, {"PYTHONHASHSEED": "2", "LC_ALL": "C.UTF-8"})
    }

    assert answers == {page(load(shop))}


def test_a_schema_that_refers_to_itself_ends() -> None:
    tree = {"type": "object", "properties": {"name": {"type": "string"}, "below": {"$ref": "#/$defs/tree"}}}
    root = {**closed({"tree": {"$ref": "#/$defs/tree"}, "self": {"$ref": "#"}}), "$defs": {"tree": tree}}
    content = page(plan_of(Section(name="A", schema=root)))

    harmless(content)
    assert rows(content, "type-1")["below"][0] == "tree"


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real plans is not here")
@pytest.mark.parametrize("file", corpus_files(), ids=lambda file: file.stem)
def test_real_plans_have_pages(file: Path) -> None:
    plan = load(file)

    found = harmless(page(plan))

    assert {event.name for event in plan.events if event.status != "removed"} <= {*found.texts}
