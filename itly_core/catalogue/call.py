"""What a call of an event looks like in Python."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..codegen.render import Kind, Read
from ..codegen.types import Entry, Exactly, MappingTo, Named, Plain, SequenceOf
from .fields import Field

MAX_WIDTH = 88
_CALLER = {
    Kind.EVENT: ('"user-1"',),
    Kind.CONTEXT: (),
    Kind.IDENTIFY: ('"user-1"',),
    Kind.GROUP: ('"user-1"', '"group-1"'),
    Kind.PAGE: ('"user-1"', '"Category"', '"Name"'),
}
_SAMPLES = {Plain.STR: "...", Plain.INT: 1, Plain.FLOAT: 1.5, Plain.BOOL: True, Plain.NONE: None}


def call(read: Read, fields: Sequence[Field]) -> str:
    """The call, with the values of the plan's first example or, without one, such as the plan allows.

    Without an example it has the required arguments, or all of them if none is.
    """
    example = read.section.examples[0] if read.section.examples else None
    entries = read.properties.entries
    if example is not None:
        shown = [entry for entry in entries if entry.wire in example]
    else:
        shown = [entry for entry in entries if entry.required] or list(entries)
    samples = {field.path: field.samples for field in fields}
    values = [(entry, _value(entry, example, samples.get(entry.wire, ()))) for entry in shown]
    first = list(_CALLER[read.kind])
    if example is not None and read.caller is not None and read.caller.wire in example:
        first[0] = python(example[read.caller.wire])
    arguments = [*first, *(f"{read.arguments[entry.wire]}={value}" for entry, value in values)]
    name = f"itly.{read.names.cls if read.kind is Kind.CONTEXT else read.names.function}"
    line = f"{name}({', '.join(arguments)})"
    if len(line) <= MAX_WIDTH:
        return line
    return "\n".join((f"{name}(", *(f"    {argument}," for argument in arguments), ")"))


def _value(entry: Entry, example: Mapping[str, Any] | None, samples: Sequence[Any]) -> str:
    if example is not None:
        return python(example[entry.wire])
    if samples:
        return python(samples[0])
    for atom in entry.type:
        if isinstance(atom, Exactly):
            return python(atom.value)
        if isinstance(atom, SequenceOf):
            return "[...]"
        if isinstance(atom, MappingTo | Named):
            return "{...}"
        if atom in _SAMPLES:
            return python(_SAMPLES[atom])
    return "..."


def python(value: Any) -> str:
    """A JSON value as Python spells it."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False) if value.isprintable() else ascii(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{python(str(key))}: {python(item)}" for key, item in value.items()) + "}"
    return f"[{', '.join(map(python, value))}]" if isinstance(value, list | tuple) else repr(value)
