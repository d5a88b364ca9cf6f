"""Lint: each rule by its own examples, places, exceptions, and plans of all kinds."""

from __future__ import annotations

import datetime
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from itly_core.errors import ConfigError, PlanError
from itly_core.plans import load
from itly_core.plans.lint import Finding, LintOptions, lint, read_options
from itly_core.plans.rules import RULES, Rule, whole
from tests.plans import samples
from tests.plans.test_any_document import changed, paths, values

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
TODAY = datetime.date(2026, 6, 1)
Lint = Callable[..., list[Finding]]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lint:
    monkeypatch.chdir(tmp_path)

    def found(text: str, options: LintOptions | None = None) -> list[Finding]:
        Path("plan.yaml").write_text(text, "utf-8")
        return list(lint("plan.yaml", options, today=TODAY).findings)

    return found


def event(more: str) -> str:
    return whole(f"events:\n  Order Placed:\n    description: Somebody paid.\n{more}")


def rules(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


def options_for(rule: Rule) -> LintOptions:
    """Those under which a rule has something to say."""
    return LintOptions(case=rule.case, rules={rule.id: "warning"} if rule.severity == "off" else {})


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_of_a_bad_example_a_rule_says_one_thing(rule: Rule, found: Lint) -> None:
    assert rules(found(whole(rule.bad), options_for(rule))) == [rule.id]


@pytest.mark.parametrize("rule", RULES.values(), ids=list(RULES))
def test_of_a_good_example_no_rule_says_anything(rule: Rule, found: Lint) -> None:
    assert found(whole(rule.good), options_for(rule)) == []


def test_a_rule_that_is_off_says_nothing(found: Lint) -> None:
    for rule in RULES.values():
        if rule.severity == "off" or rule.case:
            assert found(whole(rule.bad)) == []
        if not rule.is_refused:
            assert found(whole(rule.bad), LintOptions(case=rule.case, rules={rule.id: "off"})) == []


def test_a_finding_names_file_line_and_key(found: Lint) -> None:
    text = "itly: 1\nplan: {owner: me}\nevents:\n  Seen:\n    description: x y\n    properties:\n      a:\n        enum: [1, b]\n"

    (finding,) = found(text)

    assert (finding.file, finding.line, finding.path) == ("plan.yaml", 8, "events.Seen.properties.a.enum")
    assert str(finding) == (
        "plan.yaml:8: warning S004 events.Seen.properties.a.enum: mixes values of kinds: number, string"
    )


def test_what_is_wrong_with_a_shared_type_is_said_once_and_where_it_stands(found: Lint) -> None:
    uses = "".join(f"  {name}: {{description: x y, properties: {{a: {{type: Loose}}}}}}\n" for name in ("One", "Two"))
    text = f"itly: 1\nplan: {{owner: me}}\ntypes:\n  Loose: {{type: array}}\nevents:\n{uses}"

    assert [(one.rule, one.path, one.line) for one in found(text)] == [("S008", "types.Loose", 4)]


def test_findings_of_several_files_name_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan").mkdir()
    Path("plan/plan.yaml").write_text("itly: 1\nplan: {owner: me}\n")
    Path("plan/seen.yaml").write_text("name: Seen\nproperties:\n  a: {}\n")

    assert [(one.rule, one.file, one.line, one.path) for one in lint("plan").findings] == [
        ("D001", "plan/seen.yaml", 1, "events.Seen"),
        ("S001", "plan/seen.yaml", 3, "events.Seen.properties.a"),
    ]


def test_everything_that_pull_refuses_is_found_at_once(found: Lint) -> None:
    schemas = [rule.bad.replace("Order Placed", f"Order {rule.id}") for rule in RULES.values() if rule.is_refused]
    events = "\n".join("  " + re.sub(r"^events: \{(.*)\}$", r"\1", text) for text in schemas)

    assert sorted(rules(found(whole(f"events:\n{events}")))) == ["S006", "S007", "S011"]


@pytest.mark.parametrize("rule", [rule for rule in RULES.values() if rule.is_refused], ids=lambda rule: rule.id)
def test_what_pull_refuses_cannot_be_silenced(rule: Rule, found: Lint) -> None:
    silenced = rule.bad.replace("schema:", f"no_lint: [{rule.id}], schema:", 1)

    assert sorted(rules(found(whole(silenced), LintOptions(rules={rule.id: "off"})))) == [rule.id, "U001"]


def test_no_lint_takes_a_reason_and_silences_its_own_event_only(found: Lint) -> None:
    text = "  A: {no_lint: ['D001: obvious']}\n  B: {}"

    assert [finding.path for finding in found(whole(f"events:\n{text}"))] == ["events.B"]


def test_no_lint_of_a_rule_that_is_off_is_not_called_useless(found: Lint) -> None:
    assert found(event("    no_lint: [S003]\n")) == []


def test_exceptions_and_severities_come_from_settings(found: Lint) -> None:
    options = read_options(
        {"RULES": {"D001": "error"}, "exceptions": {"A": ["D001: as the vendor has it"]}}, "ITLY['LINT']"
    )

    assert [(one.path, one.severity) for one in found(whole("events: {A: {}, B: {}}"), options)] == [
        ("events.B", "error")
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"cases": "title"}, "unknown key 'cases'; did you mean 'case'?"),
        ({"case": "camel"}, "case must be one of title, snake, object_action, got 'camel'"),
        ({"rules": {"D01": "off"}}, "rules: unknown rule 'D01'; did you mean 'D001'?"),
        ({"rules": {"D001": "loud"}}, "rules: D001 must be one of error, warning, off, got 'loud'"),
        ({"rules": ["D001"]}, "rules must be a table, got ['D001']"),
        ({"exceptions": {"A": "D001"}}, "exceptions: A must be a list of rules, got 'D001'"),
        ({"exceptions": {"A": ["D999 x"]}}, "exceptions: A: unknown rule 'D999 x'"),
    ],
)
def test_wrong_settings_are_named(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"ITLY['LINT']: {message}")):
        read_options(given, "ITLY['LINT']")


def test_a_plan_that_cannot_be_read_is_no_finding(found: Lint) -> None:
    with pytest.raises(PlanError, match=r"plan\.yaml:3: events\.A\.descripton: unknown key"):
        found("itly: 1\nevents:\n  A: {descripton: x}\n")


def test_events_of_other_sources_are_looked_at_too_and_do_not_collide(found: Lint) -> None:
    text = whole(
        "events:\n"
        "  Order Placed: {description: x y, sources: [web]}\n"
        "  order_placed: {description: x y, sources: [python]}\n"
        "  orderPlaced: {sources: [web]}\n"
    ).replace("owner:", "source: python, owner:")

    assert [(one.rule, one.path) for one in found(text)] == [
        ("N002", "events.Order Placed"),
        ("D001", "events.orderPlaced"),
        ("N002", "events.orderPlaced"),
    ]


def test_names_of_different_sources_are_not_compared(found: Lint) -> None:
    text = "{Trial Started: {description: x y, sources: [web]}, Trail Started: {description: x y, sources: [app]}}"

    assert found(whole(f"events: {text}")) == []


def test_a_removed_event_is_left_alone(found: Lint) -> None:
    assert found(whole("events: {A: {status: removed, properties: {a: {}}}}")) == []


@pytest.mark.parametrize(
    ("case", "good", "bad"),
    [
        ("title", ["Order Placed", "Sign Up", "Added to Cart", "2FA Enabled"], ["order placed", "Order placed", "OrderPlaced_"]),
        ("snake", ["order_placed", "seen"], ["Order Placed", "order-placed", "order__placed", "orderPlaced"]),
        ("object_action", ["Order Placed", "User Signed Up", "Mail Sent"], ["Placed", "Place Order", "Order Place"]),
    ],
)  # fmt: skip
def test_styles(case: str, good: list[str], bad: list[str], found: Lint) -> None:
    text = whole("events:\n" + "".join(f"  {name}: {{description: x y}}\n" for name in [*good, *bad]))

    findings = found(text, read_options({"case": case, "rules": {"N002": "off", "N003": "off"}}, "lint"))

    assert {finding.path for finding in findings} == {f"events.{name}" for name in bad}


@pytest.mark.parametrize(
    ("one", "other", "is_near"),
    [
        ("Order Placed", "Orders Placed", True),
        ("Order Placed", "Order Plcaed", True),
        ("Order Placed", "Order Played", True),
        ("Order Placed", "Order Paid", False),
        ("Step 1 Done", "Step 2 Done", False),
        ("Order Abcdef", "Order Bzcdef", False),
        ("Seen", "Sees", False),
    ],
)
def test_names_that_are_too_similar(one: str, other: str, is_near: bool, found: Lint) -> None:
    findings = found(whole(f"events: {{{one}: {{description: x y}}, {other}: {{description: x y}}}}"))

    assert rules(findings) == (["N003", "N003"] if is_near else [])


@pytest.mark.parametrize(
    ("definition", "is_found"),
    [
        ("email: {type: string}", True),
        ("userEmail: {type: string}", True),
        ("contact: {type: string, format: email}", True),
        ("client_ip: {type: string}", True),
        ("phone_number: {type: integer}", True),
        ("first_name: {type: string}", True),
        ("name: {type: string}", False),
        ("email_verified: {type: boolean}", False),
        ("emails: {type: integer}", False),
        ("email: {type: integer}", False),
        ("address: {enum: [home, work]}", False),
        ("email: {type: string, pii: false}", False),
        ("zip: {type: string}", False),
        ("description: {type: string}", False),
    ],
)
def test_what_looks_like_personal_data(definition: str, is_found: bool, found: Lint) -> None:
    assert rules(found(event(f"    properties:\n      {definition}\n"))) == (["P001"] if is_found else [])


def test_a_users_name_is_personal(found: Lint) -> None:
    assert rules(found("itly: 1\nidentify: {properties: {name: {type: string}}}\n")) == ["P001"]


@pytest.mark.parametrize(
    ("more", "paths"),
    [
        ("    examples: [{total: 1}, {total: x}]\n", ["examples[1].total"]),
        ("    examples: [{}]\n", ["examples[0]"]),
        ("    examples: [{total: 1, coupon: 2}]\n", ["examples[0].coupon"]),
    ],
)
def test_examples_are_checked_against_the_whole_schema_with_constants_filled_in(
    more: str, paths: list[str], found: Lint
) -> None:
    properties = "    properties: {total: {type: number, required: true}, rev: {const: 2, required: true}}\n"

    findings = found(event(more + properties))

    assert [finding.path for finding in findings] == [f"events.Order Placed.{path}" for path in paths]
    assert set(rules(findings)) == {"S009"}


@pytest.mark.parametrize(("formats", "is_found"), [("warn", True), ("strict", True), ("off", False)])
def test_formats_count_in_examples_unless_they_are_off(formats: str, is_found: bool, found: Lint) -> None:
    text = event("    properties: {at: {type: string, format: date-time, example: soon}}\n")

    assert bool(found(text.replace("itly: 1", f"itly: 1\ndefaults: {{formats: {formats}}}"))) is is_found


@pytest.mark.parametrize(
    "schema",
    [
        "{additionalProperties: false, required: [a], allOf: [{properties: {a: {type: string}}}]}",
        "{additionalProperties: false, properties: {a: {enum: [x], type: string}, b: {type: string}}, "
        "if: {properties: {a: {const: x}}}, then: {required: [b]}}",
        "{type: object, unevaluatedProperties: false, $schema: 'https://json-schema.org/draft/2020-12/schema'}",
    ],
)
def test_branches_need_not_say_everything(schema: str, found: Lint) -> None:
    assert found(event(f"    schema: {schema}\n")) == []


def test_a_keyword_is_ignored_before_its_draft(found: Lint) -> None:
    schema = (
        "{$schema: 'http://json-schema.org/draft-04/schema#', additionalProperties: false, properties: {a: {const: 1}}}"
    )

    (finding,) = found(event(f"    schema: {schema}\n"))

    assert (finding.rule, finding.message) == ("S012", "is ignored in draft 4: it exists since 6")


def test_a_pattern_that_only_one_engine_knows_is_found(found: Lint) -> None:
    pytest.importorskip("jsonschema_rs")

    assert rules(found(event("    properties: {a: {type: string, pattern: '^\\p{L}$'}}\n"))) == ["S005"]


def test_names_that_look_like_keywords_are_no_keywords(found: Lint) -> None:
    text = event(
        "    schema: {additionalProperties: false, properties: {type: {type: string}, enum: {type: array, items: {}}}}\n"
    )

    assert found(text) == []


def test_a_spreadsheet_is_looked_at_and_its_lines_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sheet.csv").write_text(samples.SHEET)

    findings = lint("sheet.csv").findings

    lines = samples.SHEET.splitlines()
    assert findings
    for finding in findings:
        assert finding.path.removeprefix("events.").split(".")[0] in lines[finding.line - 1]


def test_the_plans_of_the_samples_have_nothing_doubtful() -> None:
    for plan in sorted(ROOT.glob("sample_projects/*/tracking-plan.yaml")):
        assert lint(plan).findings == ()


def test_the_rules_in_the_documentation_are_those_in_the_code() -> None:
    text = (ROOT / "docs" / "plan-checks.md").read_text("utf-8")

    rows = re.findall(r"^\| ([A-Z]\d{3}) \| (\w+) \| (.*) \|$", text, re.MULTILINE)

    assert rows == [(rule.id, rule.severity, rule.wants) for rule in RULES.values()]


SMALL = [path for name in ("itly-bundles", "itlyrc", "plans") for path in sorted(CORPUS.glob(f"{name}/*.json"))]
LARGE = sorted(CORPUS.glob("iglu-central/*.json"))


@pytest.mark.skipif(not SMALL, reason="the corpus is not beside this checkout")
@pytest.mark.parametrize("path", [*SMALL, CORPUS / "rudder-yaml"], ids=lambda path: path.stem)
def test_real_plans_can_be_looked_at(path: Path) -> None:
    judge(path)


@pytest.mark.torture
@pytest.mark.skipif(not LARGE, reason="the corpus is not beside this checkout")
@pytest.mark.parametrize("path", LARGE, ids=lambda path: path.stem)
def test_large_real_plans_can_be_looked_at(path: Path) -> None:
    judge(path)


def judge(path: Path) -> None:
    """Every finding names an event that is there and a line that mentions it."""
    linted = lint(path)
    assert linted.events
    for finding in linted.findings:
        assert finding.line == 0 or finding.line <= len(Path(finding.file).read_text("utf-8").splitlines())
        assert finding.rule in RULES
        assert finding.message


def test_a_plan_of_thousands_of_events_is_compared_quickly(found: Lint) -> None:
    """Comparing every name with every other would take minutes; the time limit of tests would end it."""
    names = [
        f"{first}{second} {third} Counted" for first in "abcdefghij" for second in "klmnopqrst" for third in range(20)
    ]

    findings = found(whole("events:\n" + "".join(f"  {name}: {{description: x y}}\n" for name in names)))

    assert set(rules(findings)) == {"N003"}


WHOLE = {
    "itly": 1,
    "plan": {"name": "Shop", "owner": "me"},
    "defaults": {"additional_properties": False, "formats": "warn", "draft": "2020-12"},
    "types": {"Currency": {"type": "string", "pattern": "^[A-Z]{3}$", "example": "EUR"}},
    "context": {"properties": {"release": {"type": "string", "required": True}}},
    "identify": {"properties": {"email": {"type": "string", "format": "email", "pii": "email"}}},
    "events": {
        "Order Placed": {
            "description": "Somebody paid.",
            "expires": "2027-01-10",
            "status": "active",
            "sources": ["python"],
            "python_name": "order_placed",
            "examples": [{"total": 1, "lines": [{"sku": "a"}]}],
            "no_lint": ["N004: because"],
            "properties": {
                "total": {"type": ["number", "null"], "minimum": 0, "default": 1, "examples": [1]},
                "currency": {"type": "Currency"},
                "lines": {"type": "array", "items": {"properties": {"sku": {"type": "string"}}}},
                "rev": {"const": 2},
            },
        },
        "Paid": {
            "schema": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "required": ["method"],
                "properties": {"method": {"enum": ["card"], "examples": ["card"]}, "b": {"$ref": "#/definitions/b"}},
                "patternProperties": {"^x": {"type": "string"}},
                "if": {"properties": {"method": {"const": "card"}}},
                "then": {"required": ["b"]},
                "definitions": {"b": {"type": "string", "format": "date", "maxLength": 3}},
            }
        },
    },
}


@given(data=st.data())
def test_a_changed_plan_gives_findings_or_an_error_of_a_plan(data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(paths(WHOLE))))
    text = json.dumps(
        changed(WHOLE, path, data.draw(values | st.sampled_from([1.5, "$", "Order Place", ["x"], "^(a+)+$"])))
    )
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        file.write_text(text, "utf-8")
        try:
            findings = lint(file, LintOptions(case="title", rules={"S003": "error"}), today=TODAY).findings
        except PlanError:
            with pytest.raises(PlanError):  # what lint cannot read, pull cannot either
                load(file)
            return
        if any(RULES[finding.rule].is_refused for finding in findings):
            with pytest.raises(PlanError):
                load(file)
        else:
            load(file)
