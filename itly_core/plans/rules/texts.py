"""Rules about what a plan says to people: descriptions, owners, dates, personal data."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

from ...codegen.names import snake
from .rule import SCHEMA, Entry, Found, Inspection, Rule, Spot

MAX_DAYS_AHEAD = 730

_SHOUTED = re.compile(r"\b(?:TODO|TBD|FIXME|XXX)\b|[Ll]orem ipsum")
_NOTHING_SAID = frozenset({"", "description", "placeholder", "todo", "tbd", "n/a", "na", "none", "tba", "test"})


def _undescribed(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    if entry.kind == "event" and not entry.section.description.strip():
        yield (), "has no description: say when it happens"


def _placeholder(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    section = entry.section
    if section.description.strip() and _is_placeholder(section.description, section.name):
        yield ("description",), "only holds the place of a description"
    for spot in entry.spots:
        text = spot.schema.get("description")
        is_the_sections = spot.path == (SCHEMA,) and text == section.description
        if isinstance(text, str) and text.strip() and not is_the_sections and _is_placeholder(text, spot.name):
            yield (*spot.path, "description"), "only holds the place of a description"


def _is_placeholder(text: str, name: str) -> bool:
    said = text.strip().strip(".…-?!").strip().casefold()
    return bool(_SHOUTED.search(text)) or said in _NOTHING_SAID or said == name.casefold()


def _unowned(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    if entry.kind == "event" and not entry.section.owner and not inspection.plan.owner:
        yield (), "has no owner: say whom to ask, here or once in `plan`"


def _expiry(entry: Entry) -> datetime.date | None:
    return datetime.date.fromisoformat(entry.section.expires) if entry.section.expires else None


def _expired(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    expires = _expiry(entry)
    if expires is not None and expires < inspection.today:
        yield ("expires",), f"expired on {expires}: set its status to removed, or give it more time"


def _far_expiry(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    expires = _expiry(entry)
    if expires is not None and (expires - inspection.today).days > MAX_DAYS_AHEAD:
        yield ("expires",), f"expires in more than {MAX_DAYS_AHEAD} days, which nobody will remember"


# --- personal data

_KINDS = {  # what `pii` would say: what it looks like
    "email": "an e-mail address",
    "phone": "a phone number",
    "ip": "an IP address",
    "name": "a person's name",
    "birth": "a date of birth",
    "address": "an address",
    "document": "the number of a document",
    "account": "the number of an account",
    "place": "a place",
}
_BY_WORD = {
    "email": "email", "phone": "phone", "telephone": "phone", "msisdn": "phone", "ip": "ip", "surname": "name",
    "birthday": "birth", "birthdate": "birth", "dob": "birth", "address": "address", "street": "address",
    "passport": "document", "ssn": "document", "iban": "account", "latitude": "place", "longitude": "place",
    "lat": "place", "lng": "place",
}  # fmt: skip
_BY_NAME = {
    "mobile": "phone", "mobile_number": "phone", "first_name": "name", "last_name": "name", "full_name": "name",
    "given_name": "name", "family_name": "name", "middle_name": "name", "birth_date": "birth", "date_of_birth": "birth",
    "credit_card": "account", "card_number": "account", "credit_card_number": "account", "tax_id": "document",
}  # fmt: skip
_BY_FORMAT = {"email": "email", "idn-email": "email", "ipv4": "ip", "ipv6": "ip"}
_NUMBERS = frozenset({"phone", "place", "document", "account"})  # what may be a number in JSON too


def _personal(entry: Entry, inspection: Inspection) -> Iterator[Found]:
    for spot in entry.properties:
        kind = _personal_kind(spot, is_user=entry.kind == "identify")
        if kind and "x-pii" not in spot.schema and not spot.is_branch:
            key = "x-pii" if entry.is_raw else "pii"
            says = f"say so with `{key}: {kind}`, or `{key}: false` where it is none"
            yield spot.path, f"looks like {_KINDS[kind]}: {says}"


def _personal_kind(spot: Spot, is_user: bool) -> str:
    if spot.schema.get("format") in _BY_FORMAT and isinstance(spot.schema["format"], str):
        return _BY_FORMAT[spot.schema["format"]]
    name = snake(spot.name, prefix="prop").replace("e_mail", "email")
    words = name.split("_")
    if is_user and name == "name":
        return "name"
    kind = _BY_NAME.get(name) or next((_BY_WORD[word] for word in words if word in _BY_WORD), "")
    types = spot.types - {"null"}
    if not kind or spot.schema.keys() & {"enum", "const"} or types == {"boolean"}:
        return ""
    return "" if types and types <= {"integer", "number"} and kind not in _NUMBERS else kind


RULES = (
    Rule(
        id="D001",
        severity="warning",
        wants="An event says what it means.",
        bad="events: {Order Placed: {version: 1.0.0}}",
        good="events: {Order Placed: {version: 1.0.0, description: Somebody paid.}}",
        find=_undescribed,
    ),
    Rule(
        id="D002",
        severity="warning",
        wants="A description is one: no TODO, nor the name again.",
        bad='events: {Order Placed: {description: "TODO: ask sales"}}',
        good="events: {Order Placed: {description: Somebody paid for a basket.}}",
        find=_placeholder,
    ),
    Rule(
        id="O001",
        severity="warning",
        wants="An event has an owner, or the plan has one.",
        bad='plan: {owner: ""}\nevents: {Order Placed: {description: Somebody paid.}}',
        good='plan: {owner: ""}\nevents: {Order Placed: {description: Somebody paid., owner: sales}}',
        find=_unowned,
    ),
    Rule(
        id="E001",
        severity="warning",
        wants="An event is not past the date on which it expires.",
        bad="events: {Order Placed: {description: Somebody paid., expires: 2020-01-31}}",
        good="events: {Order Placed: {description: Somebody paid., expires: 2020-01-31, status: removed}}",
        find=_expired,
    ),
    Rule(
        id="E002",
        severity="warning",
        wants=f"An event expires within {MAX_DAYS_AHEAD} days, if it does.",
        bad="events: {Order Placed: {description: Somebody paid., expires: 2999-01-31}}",
        good="events: {Order Placed: {description: Somebody paid.}}",
        find=_far_expiry,
    ),
    Rule(
        id="P001",
        severity="warning",
        wants="What looks like personal data says whether it is, with `pii`.",
        bad="events: {Order Placed: {description: Somebody paid., properties: {email: {type: string}}}}",
        good=(
            "events: {Order Placed: {description: Somebody paid., properties: {email: {type: string, pii: email}, "
            "shop_address: {type: string, pii: false}}}}"
        ),
        find=_personal,
    ),
)
