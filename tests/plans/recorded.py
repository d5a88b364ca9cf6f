"""What vendors' APIs answer, in the shapes that they document: the same small shop's plan from each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

DRAFT_7 = "http://json-schema.org/draft-07/schema#"


@dataclass(frozen=True)
class Recorded:
    """A vendor's API. table: a source of it, without `endpoint`. pages: path -> answer. authorization: what it must be
    asked with."""

    table: Mapping[str, str]
    pages: Mapping[str, Any]
    token: str
    headers: Mapping[str, str]
    first: str  # the path that is asked first
    events: tuple[str, ...] = ("Order Paid", "Order Placed")
    sections: tuple[str, ...] = field(default=())


def _segment_rule(kind: str, key: str | None, place: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    message = {
        "$schema": DRAFT_7,
        "type": "object",
        "labels": {"area": "shop"},
        "description": f"About {key}.",
        "properties": {"context": {}, "traits": {"type": "object"}, "properties": {"type": "object"}, place: schema},
    }
    never = "0001-01-01T00:00:00.000Z"
    return {"type": kind, "key": key, "version": 1, "deprecatedAt": never, "jsonSchema": message, **more}


_ORDER = {
    "type": "object",
    "properties": {
        "total": {"id": "/properties/properties/properties/total", "type": ["number", "null"], "minimum": 0},
        "id": {"id": "/properties/properties/properties/id", "type": "string"},
    },
    "required": ["total"],
}
_TRAITS = {"type": "object", "properties": {"plan": {"enum": ["free", "pro"]}}}

SEGMENT = Recorded(
    table={"provider": "segment", "plan": "tp_1"},
    token="tkn",
    headers={"Authorization": "Bearer tkn"},
    first="/tracking-plans/tp_1",
    pages={
        "/tracking-plans/tp_1": {
            "data": {"trackingPlan": {"id": "tp_1", "name": "Shop", "slug": "shop", "type": "LIVE"}}
        },
        "/tracking-plans/tp_1/rules?pagination.count=200": {
            "data": {
                "rules": [
                    _segment_rule("TRACK", "Order Placed", "properties", {"type": "object"}),
                    _segment_rule("TRACK", "Order Placed", "properties", _ORDER, version=2),
                    _segment_rule("IDENTIFY", None, "traits", _TRAITS),
                ],
                "pagination": {"current": "MA==", "next": "Mw==", "totalEntries": 6},
            }
        },
        "/tracking-plans/tp_1/rules?pagination.count=200&pagination.cursor=Mw%3D%3D": {
            "data": {
                "rules": [
                    _segment_rule("TRACK", "Order Paid", "properties", _ORDER, deprecatedAt="2026-01-01T00:00:00.000Z"),
                    _segment_rule("PAGE", "Home", "properties", {"type": "object", "properties": {"a": {}}}),
                    _segment_rule("SCREEN", "Home", "properties", {"type": "object", "properties": {"b": {}}}),
                ],
                "pagination": {"current": "Mw=="},
            }
        },
    },
    sections=("identify", "page"),
)


def _rudder_event(id_: str, name: str, kind: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    inside = {"properties": {place: schema}} if "." not in place else {
        "properties": {"context": {"type": "object", "properties": {"traits": schema}}}
    }  # fmt: skip
    return {
        "id": id_, "name": name, "description": f"About {name}.", "eventType": kind, "categoryId": None,
        "workspaceId": "ws", "identitySection": place,
        "rules": {
            "$schema": "https://json-schema.org/draft/2019-09/schema", "type": "object", **inside,
            "$defs": {"Money": {"type": "number", "minimum": 0}},
        },
    }  # fmt: skip


_RUDDER_ORDER = {
    "type": "object",
    "properties": {"total": {"$ref": "#/$defs/Money"}},
    "required": ["total"],
    "unevaluatedProperties": False,
}
_RUDDER_EVENTS = (
    _rudder_event("ev_1", "Order Placed", "track", "properties", _RUDDER_ORDER),
    _rudder_event("ev_2", "Order Paid", "track", "properties", _RUDDER_ORDER),
    _rudder_event("ev_3", "", "identify", "context.traits", _TRAITS),
    _rudder_event("ev_4", "", "group", "traits", _TRAITS),
)
RUDDERSTACK = Recorded(
    table={"provider": "rudderstack", "plan": "tp_1"},
    token="tkn",
    headers={"Authorization": "Bearer tkn"},
    first="/catalog/tracking-plans/tp_1",
    pages={
        "/catalog/tracking-plans/tp_1": {"id": "tp_1", "name": "Shop", "version": 7, "creationType": "", "workspaceId": "ws"},
        "/catalog/tracking-plans/tp_1/events?page=1": {
            "data": [{"id": "ev_1"}, {"id": "ev_2"}, {"id": "ev_3"}], "total": 4, "currentPage": 1, "pageSize": 3,
        },
        "/catalog/tracking-plans/tp_1/events?page=2": {
            "data": [{"id": "ev_4"}], "total": 4, "currentPage": 2, "pageSize": 3,
        },
        **{f"/catalog/tracking-plans/tp_1/events/{event['id']}?format=schema": event for event in _RUDDER_EVENTS},
    },
    sections=("identify", "group"),
)  # fmt: skip


def _amplitude_property(name: str, event: str | None, kind: str, **more: Any) -> dict[str, Any]:
    return {
        "event_property": name, "event_type": event, "description": f"The {name}.", "type": kind, "regex": None,
        "enum_values": None, "is_array_type": False, "is_required": False, "is_hidden": False, "classifications": [],
        **more,
    }  # fmt: skip


def _amplitude_event(name: str, **more: Any) -> dict[str, Any]:
    return {
        "event_type": name, "category": {"name": "Checkout"}, "description": f"About {name}.", "display_name": None,
        "is_active": True, "tags": ["shop"], "owner": "shop@shop.example", **more,
    }  # fmt: skip


AMPLITUDE = Recorded(
    table={"provider": "amplitude"},
    token="key:secret",
    headers={"Authorization": "Basic a2V5OnNlY3JldA=="},
    first="/taxonomy/event",
    pages={
        "/taxonomy/event": {"success": True, "data": [_amplitude_event("Order Placed"), _amplitude_event("Order Paid")]},
        "/taxonomy/event-property?event_type=Order+Placed": {
            "success": True,
            "data": [
                _amplitude_property("total", "Order Placed", "number", is_required=True),
                _amplitude_property("coupon", "Order Placed", "string", regex="^[A-Z]+$"),
                _amplitude_property("channel", "Order Placed", "enum", enum_values="web, app"),
                _amplitude_property("tags", "Order Placed", "string", is_array_type=True, classifications=["PII"]),
                _amplitude_property("hidden", "Order Placed", "any", is_hidden=True),
            ],
        },
        "/taxonomy/event-property?event_type=Order+Paid": {"success": True, "data": []},
        "/taxonomy/user-property": {
            "success": True,
            "data": [{"user_property": "gp:plan", "description": "", "type": "enum", "enum_values": ["free", "pro"]}],
        },
        "/taxonomy/group-property": {
            "success": True, "data": [{"group_property": "grp:seats", "group_type": "org", "type": "number"}],
        },
    },
    sections=("identify", "group"),
)  # fmt: skip


def _avo_event(name: str, actions: list[str], schema: dict[str, Any], *sources: str) -> dict[str, Any]:
    return {
        "id": f"id-{name}", "name": name, "description": f"About {name}.", "tags": ["shop"], "categories": [],
        "actions": actions,
        "sources": [{"id": source, "name": source, "implementWithCodegen": True, "destinations": []} for source in sources],
        "rules": {
            "$schema": "http://json-schema.org/draft-06/schema#", "type": "object",
            "required": ["properties", "nameMapping"],
            "properties": {"properties": schema, "nameMapping": [{"name": name, "destinationId": "all"}]},
        },
    }  # fmt: skip


_AVO_ORDER = {
    "type": "object",
    "properties": {
        "total": {
            "id": "p1", "description": "What it costs.", "type": "number",
            "nameMapping": [{"name": "Total", "destinationId": "d1"}],
        },
    },
    "required": ["total"],
    "additionalProperties": False,
}  # fmt: skip
AVO = Recorded(
    table={"provider": "avo", "plan": "ws1"},
    token="robot:secret",
    headers={"Authorization": "Basic cm9ib3Q6c2VjcmV0"},
    first="/workspaces/ws1/branches/main/export/v1",
    pages={
        "/workspaces/ws1/branches/main/export/v1": {
            "name": "Shop:main",
            "events": [
                _avo_event("Order Placed", ["logEvent"], _AVO_ORDER, "Backend", "Web"),
                _avo_event("Order Paid", ["logEvent", "identify"], _AVO_ORDER, "Backend"),
                _avo_event("Page Viewed", ["page"], _AVO_ORDER),
            ],
            "metrics": {},
        }
    },
    sections=("page",),
)


def _iglu(name: str, version: str) -> dict[str, Any]:
    return {
        "$schema": "http://iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0#",
        "self": {"vendor": "com.shop", "name": name, "format": "jsonschema", "version": version},
        "description": f"About {name}.",
        "type": "object",
        "properties": {"total": {"type": "number", "minimum": 0, "exclusiveMinimum": True}},
        "required": ["total"],
        "additionalProperties": False,
    }


IGLU = Recorded(
    table={"provider": "iglu", "plan": "com.shop"},
    token="key",
    headers={"apikey": "key"},
    first="/schemas",
    pages={
        "/schemas": [
            "iglu:com.shop/order_placed/jsonschema/1-0-9",
            "iglu:com.shop/order_placed/jsonschema/1-0-10",
            "iglu:com.shop/order_paid/jsonschema/1-0-0",
            "iglu:com.other/page/jsonschema/1-0-0",
        ],
        "/schemas/com.shop/order_placed/jsonschema/1-0-10": _iglu("order_placed", "1-0-10"),
        "/schemas/com.shop/order_paid/jsonschema/1-0-0": _iglu("order_paid", "1-0-0"),
    },
    events=("order_paid", "order_placed"),
)

RECORDED = {"segment": SEGMENT, "rudderstack": RUDDERSTACK, "amplitude": AMPLITUDE, "avo": AVO, "iglu": IGLU}
