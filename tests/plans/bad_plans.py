"""Plans that cannot be used: for each its text, and the line, key and words its error must name."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import dedent


@dataclass(frozen=True)
class BadPlan:
    text: str
    line: int
    path: str
    message: str


def _bad(line: int, path: str, message: str, text: str) -> BadPlan:
    return BadPlan(dedent(text).lstrip("\n"), line, path, message)


def _property(path: str, message: str, text: str) -> BadPlan:
    """One whose fault is in the property `cpu`, written on line 5."""
    return BadPlan(
        f"itly: 1\nevents:\n  Started:\n    properties:\n      cpu: {text}\n",
        5,
        f"events.Started.properties.cpu{path}",
        message,
    )


def _event(path: str, message: str, text: str) -> BadPlan:
    """One whose fault is in the event `Started`, written on line 4."""
    return BadPlan(f"itly: 1\nevents:\n  Started:\n    {text}\n", 4, f"events.Started{path}", message)


BAD_PLANS = {
    "nothing at all": _bad(1, "", "no plan that is known here", ""),
    "a text": _bad(1, "", "no plan that is known here", "hello"),
    "a list": _bad(1, "", "no plan that is known here", "- itly: 1"),
    "no format version": _bad(1, "", "write `itly: 1`", "plan: {name: Shop}\nevents: {}\n"),
    "a format of the future": _bad(1, "itly", "unknown format version 2", "itly: 2"),
    "true as the format": _bad(1, "itly", "unknown format version True", "itly: true"),
    "a duplicate event": _bad(
        5, "events.Started", "duplicate key 'Started', first on line 3", """
        itly: 1
        events:
          Started:
            description: one
          Started:
            description: two
        """),
    "a duplicate property": BadPlan(
        "itly: 1\nevents:\n  Started:\n    properties:\n      cpu: {}\n      cpu: {}\n",
        6, "events.Started.properties.cpu", "duplicate key 'cpu', first on line 5"),
    "an unknown part": _bad(2, "event", "did you mean 'events'?", "itly: 1\nevent: {}\n"),
    "a plan's name at the top": _bad(2, "name", "unknown key 'name'", "itly: 1\nname: Shop\nevents: {}\n"),
    "an unknown key of the plan": _bad(2, "plan.nmae", "did you mean 'name'?", "itly: 1\nplan: {nmae: Shop}\n"),
    "an unknown default": _bad(3, "defaults.additionalProperties", "did you mean 'additional_properties'?",
                               "itly: 1\ndefaults:\n  additionalProperties: true\n"),
    "an unknown key of context": _bad(2, "context.status", "unknown key 'status'", "itly: 1\ncontext: {status: active}\n"),
    "events as a list": _bad(2, "events", "must be an object", "itly: 1\nevents: [Started]\n"),
    "an event without a name": _bad(3, "events.", "must not be empty", "itly: 1\nevents:\n  '': {}\n"),
    "an event that is a text": _bad(3, "events.Started", "must be an object", "itly: 1\nevents:\n  Started: yes\n"),
    "an unknown key of an event": _event(".propertys", "did you mean 'properties'?", "propertys: {}"),
    "an unknown key that is near nothing": _event(".zzz", "known here: additional_properties, description", "zzz: 1"),
    "a version that is a fraction": _event(".version", "write it in quotes", "version: 1.10"),
    "an unknown status": _event(".status", "must be one of draft, active, deprecated, removed", "status: done"),
    "tags that are one text": _event(".tags", "must be a list", "tags: ops"),
    "a tag that is no text": _event(".tags[1]", "must be text, not a boolean", "tags: [ops, true]"),
    "sources that are one text": _event(".sources", "must be a list", "sources: python"),
    "examples that are no list": _event(".examples", "must be a list", "examples: {cpu: 1}"),
    "an example that is no object": _event(".examples[0]", "must be an object", "examples: [1]"),
    "a Python name with a space": _event(".python_name", "cannot name a Python function", "python_name: a b"),
    "a Python name that is a keyword": _event(".python_name", "cannot name a Python function", "python_name: class"),
    "a Python name that is code": _event(".python_name", "cannot name a Python function", "python_name: 'x(): pass'"),
    "a Python name used twice": _bad(5, "events.B.python_name", "is the name of 'A' already", """
        itly: 1
        events:
          A: {python_name: same}
          B:
            python_name: same
        """),
    "an identity of nothing": _event(".identity", "write `identity: {user_id:", "identity: {}"),
    "an identity that is no property": _event(
        ".identity.user_id", "there is no property 'usr'", "identity: {user_id: usr}\n    properties: {user: {}}"),
    "properties and schema": _event(".properties", "stands beside `schema`", "properties: {}\n    schema: {}"),
    "properties as a list": _event(".properties", "must be an object", "properties: [cpu]"),
    "an unknown draft": _bad(2, "defaults.draft", "unknown draft '2021'", "itly: 1\ndefaults: {draft: '2021'}\n"),
    "unknown formats": _bad(2, "defaults.formats", "must be one of off, warn, strict",
                            "itly: 1\ndefaults: {formats: on}\n"),
    "a default that is no boolean": _bad(2, "defaults.additional_properties", "must be true or false, not 'no'",
                                         "itly: 1\ndefaults: {additional_properties: no}\n"),

    "a property without a word": _property("", "says nothing", ""),
    "a property that is a text": _property("", "must be an object", "integer"),
    "an unknown key of a property": _property(".minimun", "did you mean 'minimum'?", "{type: integer, minimun: 1}"),
    "an unknown type": _property(".type", "unknown type 'strnig'; did you mean 'string'?", "{type: strnig}"),
    "a type of Python": _property(".type", "unknown type 'int'; write integer", "{type: int}"),
    "a type that is a format": _property(".type", "write string, with format: date-time", "{type: datetime}"),
    "an unknown type in a union": _property(".type[1]", "unknown type 'nil'", "{type: [string, nil]}"),
    "a list of an unknown type": _property(".type", "unknown type 'Curency'", "{type: 'Curency[]'}"),
    "a type that is a number": _property(".type", "must name a type", "{type: 1}"),
    "no type in a union": _property(".type", "must name a type", "{type: []}"),
    "an unknown type of items": _property(".items.type", "unknown type 'str'", "{type: array, items: {type: str}}"),
    "an unknown type further in": _property(
        ".properties.a.type", "unknown type 'str'", "{type: object, properties: {a: {type: str}}}"),
    "items beside a list type": _property(".items", "stands beside `type: string[]`", "{type: 'string[]', items: {}}"),
    "required as a list": _property(".required", "write `required: true` in each property", "{required: [a]}"),
    "required as a text": _property(".required", "must be true or false, not 'yes'", "{required: yes}"),
    "required of items": _property(".items.required", "only they can be missing", "{items: {required: true}}"),
    "nullable as a number": _property(".nullable", "must be true or false, not 1", "{nullable: 1}"),
    "an empty enum": _property(".enum", "must not be empty", "{enum: []}"),
    "an enum of one": _property(".enum", "must be a list", "{enum: eu}"),
    "a minimum that is a text": _property(".minimum", "is not of type 'number'", "{type: integer, minimum: 'a'}"),
    "a length below zero": _property(".maxLength", "less than the minimum", "{type: string, maxLength: -1}"),
    "a pattern that is none": _property(".pattern", "[", "{type: string, pattern: '['}"),
    "a fault within a nullable type": _property(".minLength", "is not of type", "{type: string, nullable: true, minLength: x}"),

    "a type named like JSON Schema's": _bad(3, "types.string", "cannot name a type", "itly: 1\ntypes:\n  string: {}\n"),
    "a type named with a space": _bad(3, "types.a b", "cannot name a type", "itly: 1\ntypes:\n  a b: {}\n"),
    "a required type": _bad(3, "types.A.required", "only they can be missing",
                            "itly: 1\ntypes:\n  A: {type: string, required: true}\n"),
    "a type of an unknown type": _bad(3, "types.A.type", "unknown type 'B'", "itly: 1\ntypes:\n  A: {type: B}\n"),
    "a type that breaks its meta-schema": _bad(3, "types.A.minLength", "is not of type 'integer'",
                                               "itly: 1\ntypes:\n  A: {type: string, minLength: few}\n"),

    "a raw schema that is none": _event(".schema.type", "'strnig' is not valid", "schema: {type: strnig}"),
    "a raw schema that is a boolean": _event(".schema", "must be an object", "schema: true"),
    "a raw schema of an unknown draft": _event(
        ".schema.$schema", "unknown JSON Schema draft 'https://x.example/draft'", "schema: {$schema: 'https://x.example/draft'}"),
    "a raw schema whose draft is no text": _event(".schema.$schema", "must be text", "schema: {$schema: [1]}"),
    "a remote reference": _event(
        ".schema.properties.a.$ref", "is outside this schema", "schema: {properties: {a: {$ref: 'https://x.example/s'}}}"),
    "a reference to a file": _event(
        ".schema.properties.a.$ref", "is outside this schema", "schema: {properties: {a: {$ref: '../../etc/passwd'}}}"),
    "a reference that leads nowhere": _event(
        ".schema.items.$ref", "leads nowhere", "schema: {items: {$ref: '#/definitions/a'}}"),
    "a remote reference behind a local one": _event(
        ".schema.odd.place.$ref", "is outside this schema",
        "schema: {allOf: [{$ref: '#/odd/place'}], odd: {place: {$ref: 'http://x.example/s'}}}"),
    "a reference to itself": _event(".schema", "refers to itself without end", "schema: {$ref: '#'}"),
    "references in a circle": _event(
        ".schema.definitions.b", "refers to itself without end",
        "schema: {not: {$ref: '#/definitions/b'}, definitions: {b: {anyOf: [{}, {$ref: '#/definitions/b'}]}}}"),
    "a type that is itself": _bad(3, "types.A", "refers to itself without end",
                                  "itly: 1\ntypes:\n  A: {type: [A, string]}\n"),
    "a remote dynamic reference": _event(
        ".schema.$dynamicRef", "is outside this schema",
        "schema: {$schema: 'https://json-schema.org/draft/2020-12/schema', $dynamicRef: 'https://x.example/s#m'}"),
}  # fmt: skip
