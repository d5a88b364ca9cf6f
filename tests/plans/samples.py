"""A plan in each format that is kept in files: the same small shop."""

from __future__ import annotations

from typing import Any

SEGMENT_V8: dict[str, Any] = {
    "id": "tp_1", "name": "Shop", "slug": "shop", "type": "LIVE", "description": "",
    "rules": [
        {
            "key": "Order Placed", "type": "TRACK", "version": 1, "deprecatedAt": "0001-01-01T00:00:00.000Z",
            "jsonSchema": {
                "$schema": "http://json-schema.org/draft-07/schema#", "description": "Somebody bought.", "type": "object",
                "eventMetadata": {"name": "Order Placed", "type": "TRACK"}, "labels": {},
                "properties": {
                    "id": {"id": "/properties/properties/properties/id", "type": "string"},
                    "properties": {"type": "object", "properties": {"id": {"id": "/x", "type": "string"}}},
                },
                "required": ["id"],
            },
        }
    ],
}  # fmt: skip

SEGMENT_V7: dict[str, Any] = {
    "name": "workspaces/shop/tracking-plans/rs_1", "display_name": "Shop", "create_time": "2022-07-22T21:47:06.000Z",
    "rules": {
        "events": [
            {
                "name": "Order Placed", "description": "Somebody bought.", "version": 3,
                "rules": {
                    "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "labels": {"area": "shop"},
                    "properties": {
                        "context": {}, "traits": {"type": "object"},
                        "properties": {
                            "type": "object", "required": ["id"],
                            "properties": {
                                "id": {"id": "/properties/properties/properties/id", "$ref": "#/definitions/id"},
                                "parent": {"$ref": "#/properties/properties/properties/id"},
                            },
                        },
                    },
                    "definitions": {"id": {"type": "string"}},
                },
            }
        ],
        "identify": {
            "type": "object", "properties": {"traits": {"type": "object", "properties": {"plan": {"type": "string"}}}},
        },
        "global": {}, "group": {}, "identify_traits": [], "group_traits": [],
    },
}  # fmt: skip

RUDDER_PLAN: dict[str, Any] = {
    "id": "tp_1", "name": "Shop", "version": 2, "workspaceId": "ws", "creationType": "Data catalog",
    "rules": {
        "events": [
            {
                "name": "Order Placed", "description": "Somebody bought.", "eventType": "track",
                "rules": {
                    "$schema": "http://json-schema.org/draft-07/schema#", "type": "object",
                    "properties": {"properties": {"type": "object", "properties": {"id": {"type": "string"}}}},
                },
            },
            {
                "name": "", "description": "", "eventType": "screen",
                "rules": {"type": "object", "properties": {"properties": {"type": "object", "properties": {"a": {}}}}},
            },
        ]
    },
}  # fmt: skip

RUDDER_CLI_OLD = {
    "properties.yaml": """
version: rudder/v0.1
kind: properties
metadata: {name: shop}
spec:
  properties:
    - {id: id, name: Order Id, type: string, description: Which order., propConfig: {minLength: 3}}
    - {id: total, name: total, type: "number,null"}
    - {id: kind, name: kind, type: string, propConfig: {enum: [gift, normal]}}
    - {id: note, name: note, type: string}
    - {id: tags, name: tags, type: array, propConfig: {itemTypes: [string, integer]}}
    - {id: money, name: money, type: "#/custom-types/types/money"}
    - {id: monies, name: monies, type: array, propConfig: {itemTypes: ["#/custom-types/types/money"]}}
    - {id: address, name: address, type: object}
""",
    "types.yaml": """
version: rudder/v0.1
kind: custom-types
metadata: {name: types}
spec:
  types:
    - id: money
      name: Money
      type: object
      properties:
        - {$ref: "#/properties/shop/total", required: true}
        - {$ref: "#/properties/shop/money"}
""",
    "events.yaml": """
version: rudder/0.1
kind: events
metadata: {name: shop}
spec:
  events:
    - {id: placed, name: Order Placed, event_type: track, description: Somebody bought., category: "#/categories/c/buy"}
    - {id: who, event_type: identify}
""",
    "categories.yaml": """
version: rudder/v0.1
kind: categories
metadata: {name: c}
spec: {categories: [{id: buy, name: Buying}]}
""",
    "plan.yaml": """
version: rudder/v0.1
kind: tp
metadata: {name: shop}
spec:
  id: shop
  display_name: Shop
  rules:
    - type: event_rule
      id: r1
      event: {$ref: "#/events/shop/placed", allow_unplanned: false}
      properties:
        - {$ref: "#/properties/shop/id", required: true}
        - {$ref: "#/properties/shop/kind", required: true}
        - {$ref: "#/properties/shop/money"}
        - {$ref: "#/properties/shop/monies"}
        - {$ref: "#/properties/shop/tags"}
        - {$ref: "#/properties/shop/address", properties: [{$ref: "#/properties/shop/note", required: true}]}
      variants:
        - type: discriminator
          discriminator: "#/properties/shop/kind"
          cases:
            - {display_name: Gift, match: [gift], properties: [{$ref: "#/properties/shop/note", required: true}]}
          default: [{$ref: "#/properties/shop/total", required: true}]
    - type: event_rule
      id: r2
      event: {$ref: "#/events/shop/who", allow_unplanned: true}
      properties: [{$ref: "#/properties/shop/note"}]
""",
}

RUDDER_CLI_NEW = {
    "catalog/all.yaml": """
version: rudder/v1
kind: properties
metadata: {name: shop}
spec:
  properties:
    - {id: id, name: Order Id, type: string, config: {min_length: 3}}
    - {id: total, name: total, types: [number, "null"]}
    - {id: money, name: money, type: "#custom-type:money"}
    - {id: tags, name: tags, type: array, item_types: [string]}
""",
    "catalog/types.yaml": """
version: rudder/v1
kind: custom-types
metadata: {name: shop}
spec: {types: [{id: money, name: Money, type: number, config: {minimum: 0}}]}
""",
    "catalog/events.yaml": """
version: rudder/v1
kind: events
metadata: {name: shop}
spec: {events: [{id: placed, name: Order Placed, event_type: track, category: "#category:buy"}]}
""",
    "plan.yaml": """
version: rudder/v1
kind: tracking-plan
metadata: {name: shop}
spec:
  id: shop
  display_name: Shop
  rules:
    - type: event_rule
      id: r1
      event: "#event:placed"
      additional_properties: true
      properties:
        - {property: "#property:id", required: true}
        - {property: "#property:total"}
        - {property: "#property:money"}
        - {property: "#property:tags"}
""",
}

ITLYRC = """{
  CompanyId: 'c1',
  "SourceId": "s1",
  "Path": "./src/itly",
  "Events": [
    {
      "id": "e1",
      "name": "Order Placed",
      "description": "Somebody bought.",
      "properties": [
        {"id": "p0", "name": "id", "description": "Which.", "required": true, "type": "0", "schema": {}},
        {"id": "p1", "name": "count", "description": "", "required": false, "type": "1", "schema": {"type": "integer"}},
        {"id": "p2", "name": "gift", "required": false, "type": "2", "schema": {}},
        {"id": "p3", "name": "tags", "required": false, "type": "3", "schema": {"items": {"type": "string"}}},
        {"id": "p4", "name": "address", "required": false, "type": "4", "schema": {}},
        {"id": "p5", "name": "kind", "required": true, "type": "5", "schema": {"enum": ["a", "b"]}},
        {"id": "p6", "name": "rev", "required": true, "type": "6", "schema": {"const": 4}},
      ],
      "sources": [{"id": "s1", "name": "web"}],
    },
  ],
  "Version": "12.0.0",
}
"""

_PLACED = (
    '{"$id":"https://iterative.ly/company/c1/event/e1/version/1.2.0","$schema":"http://json-schema.org/draft-07/schema#",'
    '"title":"Order Placed","description":"Say \\"buy\\", it\'s $5.\\nNow.","type":"object",'
    '"properties":{"id":{"type":"string"}},"additionalProperties":false,"required":["id"]}'
)
_CONTEXT = '{"type":"object","properties":{"version":{"type":"string"}},"additionalProperties":false,"required":[]}'


def _quoted(text: str, quote: str, *specials: str) -> str:
    for special in ("\\", *specials, quote):
        text = text.replace(special, "\\" + special)
    return quote + text.replace("\n", "\\n") + quote


CODE = {
    "itly.py": (
        "class Itly:\n    def load(self):\n        x = {'a': 1, \"b\": {\"c\": \"d\"}}\n        self._plugins = [SchemaValidatorPlugin({\n"
        f"            'context': {_quoted(_CONTEXT, chr(39))},\n            'Order Placed': {_quoted(_PLACED, chr(39))},\n        }})]\n"
    ),
    "index.ts": (
        "export const x: Record<string, any> = { a: {\"b\": 1} };\nitly.load({ plugins: [\n  new SchemaValidatorPlugin({\n"
        f"    context: {_CONTEXT},\n    'Order Placed': {_PLACED},\n  }}),\n] }});\n"
    ),
    "index.js": f"const s = new SchemaValidatorPlugin({{'context': {_CONTEXT},\n\"Order Placed\":{_PLACED}}});\n",
    "Itly.java": (
        'Map<String, String> schemas = new HashMap<>();\nschemas.put("context", ' + _quoted(_CONTEXT, '"') + ");\n"
        'schemas.put("Order Placed",\n    ' + _quoted(_PLACED[:90], '"') + "\n    + " + _quoted(_PLACED[90:], '"') + ");\n"
    ),
    "Itly.kt": (
        'SchemaValidatorPlugin(mapOf(\n  "context" to ' + _quoted(_CONTEXT, '"', "$") + ',\n  "Order Placed" to '
        + _quoted(_PLACED, '"', "$") + "\n))\n"
    ),
    "itly.rb": (
        "def self.validation_schemas\n  {\n    context: " + _quoted(_CONTEXT, "'") + ",\n    'Order Placed' => '"
        + _PLACED.replace("\\", "\\\\").replace("'", "\\'") + "',\n  }\nend\n"
    ),
}  # fmt: skip

AMPLITUDE_EVENTS = """\
Action,Object type,Object name,Object owner,Object description,Event category,Event display name,Event source,Tags,Property type,Property group names,Event property name,Property description,Property value type,Property required,Property is array,Property regex,Enum values,Const value,Number is integer,Number property value min,Number property value max,String property value min length,String property value max length,Array min items,Array max items,Array unique items
,Property Group,Money,,,,,,,Event Property,,currency,In which.,string,TRUE,FALSE,^[A-Z]{3}$,,,,,,,,,,
,Property Group,Money,,,,,,,Event Property,,total,,number,FALSE,FALSE,,,,,0,,,,,,
,Event,Order Placed,ann@shop.example,"Somebody bought, at last.",Checkout,,"Backend, Web","shop, money",Event Property,Money,count,,number,TRUE,FALSE,,,,TRUE,1,99,,,,,
,Event,Order Placed,,,,,,,Event Property,,total,What it costs.,number,TRUE,FALSE,,,,,,,,,,,
,Event,Order Placed,,,,,,,Event Property,,tags,,string,FALSE,TRUE,,,,,,,2,,1,5,TRUE
,Event,Order Placed,,,,,,,Event Property,,kind,,enum,FALSE,FALSE,,"gift, normal",,,,,,,,,
,Event,Order Placed,,,,,,,Event Property,,rev,,const,TRUE,FALSE,,,4,,,,,,,,
Ignore,Event,Ignored,,,,,,,,,,,,,,,,,,,,,,,,
,Event,Signed In,,,,,Web,,,,,,,,,,,,,,,,,,,
"""

AMPLITUDE_USERS = """\
Action,Property name,Property description,Property value type,Property required,Property is array,Enum values
,plan,What they pay for.,enum,FALSE,FALSE,"free, pro"
,gp:devices,,string,FALSE,TRUE,
"""

SHEET = """\
Event Name,Event description,Property,Type,Required,Description,Allowed values,Example,Owner,PII
Order Placed,Somebody bought.,id,string,yes,Which order.,,o-1,shop,
,,count,integer,,,"1, 2, 3",2,,
,,tags,string[],no,,,,,
,,placed at,datetime,,,,,,
,,email,email,,,,,,email
Signed In,,,,,,,,,
identify,,plan,,,,"free, pro",,,
"""
