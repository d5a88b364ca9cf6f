"""A JSON Schema, compiled once, that answers for a value: valid, or every way in which it is not.

One engine gives verdict and text: jsonschema-rs where it is installed, jsonschema elsewhere. Their few differences are
listed in docs/validation.md. Schemas are self-contained: nothing is ever retrieved.
"""

from __future__ import annotations

import copy
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

from .errors import PlanError, Violation
from .patterns import backtracks_catastrophically

try:
    import jsonschema_rs
except ImportError:  # no wheel for this platform
    jsonschema_rs = None  # type: ignore[assignment]

Draft = Literal["4", "6", "7", "2019-09", "2020-12"]
Formats = Literal["off", "warn", "strict"]

DEFAULT_DRAFT: Draft = "7"  # what plans without "$schema" were written for
_DRAFT_URIS: dict[str, Draft] = {
    "json-schema.org/draft-04/schema": "4",
    "json-schema.org/draft-06/schema": "6",
    "json-schema.org/draft-07/schema": "7",
    "json-schema.org/draft/2019-09/schema": "2019-09",
    "json-schema.org/draft/2020-12/schema": "2020-12",
    "iglucentral.com/schemas/com.snowplowanalytics.self-desc/schema/jsonschema/1-0-0": "4",
}


def draft_of(schema: Mapping[str, Any]) -> Draft | None:
    """The draft a schema is written for, however its `$schema` is spelled; None for one we do not know."""
    uri = schema.get("$schema")
    if uri is None:
        return DEFAULT_DRAFT
    text = str(uri).strip().rstrip("#")
    return _DRAFT_URIS.get(re.sub(r"^(https?://|iglu:)", "", text))


class Check:
    """A compiled schema.

    is_valid: the verdict on a plain JSON value, and nothing else; the hot path.
    """

    __slots__ = ("_errors", "is_valid")

    def __init__(self, is_valid: Callable[[Any], bool], errors: Callable[[Any], Iterable[Violation]]) -> None:
        self.is_valid = is_valid
        self._errors = errors

    def violations(self, value: Any) -> tuple[Violation, ...]:
        """Every way in which the value breaks the schema, in a stable order."""
        return tuple(sorted(self._found(value), key=lambda item: (item.path, item.rule, item.message)))

    def _found(self, value: Any) -> Iterator[Violation]:
        try:
            yield from self._errors(value)
        except Exception as exc:  # noqa: BLE001  # a recursive schema, a fault of the engine: no reason to lose a call
            yield Violation("", f"could not be checked: {type(exc).__name__}: {exc}", "unchecked")


def compile_schema(schema: Mapping[str, Any], *, formats: Formats = "warn", engine: str | None = None) -> Check:
    """Compile a schema for the engine that is here, or the one named ("jsonschema-rs", "jsonschema").

    formats: `format` is asserted with "strict" only.

    Raises:
        PlanError: the schema is none, is of an unknown draft, or refers to something outside itself.
    """
    draft = draft_of(schema)
    if draft is None:
        raise PlanError(f"unknown JSON Schema draft {schema.get('$schema')!r}; known: {', '.join(sorted(_DRAFT_URIS))}")
    plain = {key: value for key, value in schema.items() if key != "$schema"}
    chosen = engine or ("jsonschema" if jsonschema_rs is None else "jsonschema-rs")
    build = _compile_python if chosen == "jsonschema" else _compile_rust
    return build(plain, draft, formats == "strict")


def _compile_rust(schema: dict[str, Any], draft: Draft, asserts_formats: bool) -> Check:
    validators = {
        "4": jsonschema_rs.Draft4Validator,
        "6": jsonschema_rs.Draft6Validator,
        "7": jsonschema_rs.Draft7Validator,
        "2019-09": jsonschema_rs.Draft201909Validator,
        "2020-12": jsonschema_rs.Draft202012Validator,
    }
    schema = _closed_by_name(schema)
    try:
        validator = validators[draft](schema, validate_formats=asserts_formats, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as exc:
        raise PlanError(f"not a usable JSON Schema: {_first_line(exc)}") from exc

    def errors(value: Any) -> Iterator[Violation]:
        for error in validator.iter_errors(value):
            kind: Any = error.kind
            path = path_text(error.instance_path)
            if kind.name == "required":
                yield _missing(path, kind.property)
            elif kind.name in _CLOSED:
                yield from _unexpected(path, kind.unexpected, kind.name)
            else:
                yield Violation(path, _first_line(error), _RULES.get(kind.name, kind.name))

    return Check(validator.is_valid, errors)


def _compile_python(schema: dict[str, Any], draft: Draft, asserts_formats: bool) -> Check:
    # Imported here: where the other engine is installed a running app has no use for these 60 ms.
    import jsonschema
    import referencing
    import referencing.exceptions

    classes = {
        "4": jsonschema.Draft4Validator,
        "6": jsonschema.Draft6Validator,
        "7": jsonschema.Draft7Validator,
        "2019-09": jsonschema.Draft201909Validator,
        "2020-12": jsonschema.Draft202012Validator,
    }
    extend: Any = jsonschema.validators.extend
    cls = extend(classes[draft], type_checker=_strict_numbers(classes[draft].TYPE_CHECKER))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cls.check_schema(schema, format_checker=None)
        _refuse_bad_patterns(schema)
        _refuse_dangling_references(schema, draft)
    except jsonschema.SchemaError as exc:
        raise PlanError(f"not a usable JSON Schema: {_first_line(exc)}") from exc
    checker = cls.FORMAT_CHECKER if asserts_formats else None
    # An empty registry: the default one would go and fetch a remote $ref.
    validator = cls(schema, format_checker=checker, registry=referencing.Registry())

    def errors(value: Any) -> Iterator[Violation]:
        for error in validator.iter_errors(value):
            path = path_text(error.absolute_path)
            if error.validator == "required":
                # One error per missing name, which stands in its text only.
                named = (name for name in error.validator_value if error.message.startswith(repr(name)))
                yield _missing(path, next(named))
            elif error.validator in _CLOSED and error.validator_value is False:
                yield from _unexpected(path, _extras(error), str(error.validator))
            else:
                yield Violation(path, error.message, str(error.validator) if error.validator else "false")

    return Check(validator.is_valid, errors)


def _strict_numbers(checker: Any) -> Any:
    """NaN and infinities are no numbers in JSON; jsonschema lets them pass."""
    for name in ("number", "integer"):
        known = checker.is_type
        checker = checker.redefine(
            name, lambda _, value, name=name, known=known: known(value, name) and math.isfinite(value)
        )
    return checker


def _closed_by_name(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema, of which jsonschema-rs tells which property is too many: where an object has none at all, it
    says only that something is."""

    def is_bare(part: Mapping[str, Any]) -> bool:
        return part.get("additionalProperties") is False and not part.keys() & {"properties", "patternProperties"}

    if not any(map(is_bare, _walk(schema))):
        return schema
    copied = copy.deepcopy(schema)
    for part in filter(is_bare, list(_walk(copied))):
        part["properties"] = {}
    return copied


_CLOSED = ("additionalProperties", "unevaluatedProperties")
_RULES = {"constant": "const", "falseSchema": "false", "oneOfMultipleValid": "oneOf", "oneOfNotValid": "oneOf"}


def path_text(parts: Iterable[Any]) -> str:
    """A path as users read it: `address.city`, `tags[0]`."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _missing(path: str, name: str) -> Violation:
    return Violation(_below(path, name), "is required and missing", "required")


def _unexpected(path: str, names: Iterable[str], rule: str) -> Iterator[Violation]:
    for name in names:
        yield Violation(_below(path, name), "is not in the plan", rule)


def _extras(error: Any) -> list[str]:
    """The names jsonschema's additionalProperties or unevaluatedProperties error is about."""
    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    extras = (name for name in error.instance if name not in known)
    extras = (name for name in extras if not any(re.search(pattern, name) for pattern in patterns))
    return [name for name in extras if repr(name) in error.message]


def _first_line(error: BaseException) -> str:
    return str(getattr(error, "message", None) or error).split("\n", 1)[0]


_TYPED_LEAVES = frozenset({"string", "integer", "number", "boolean", "null"})


def is_typed_throughout(schema: Any) -> bool:
    """Whether every value a valid instance can hold is of a stated type, so that NaN, which is of none, is invalid.

    Sure when True; False when it would take thought to tell.
    """
    if not isinstance(schema, Mapping):
        return schema is False
    if "$ref" in schema or "prefixItems" in schema:  # up to draft 7 a $ref switches off what stands beside it
        return False
    if "enum" in schema:  # "const" says nothing in draft 4
        return True
    kinds = schema.get("type")
    kinds = {kinds} if isinstance(kinds, str) else set(kinds or ())
    if not kinds or kinds - _TYPED_LEAVES - {"object", "array"}:
        return False
    if "array" in kinds and not ("items" in schema and is_typed_throughout(schema["items"])):
        return False
    if "object" in kinds:
        below = [*schema.get("properties", {}).values(), *schema.get("patternProperties", {}).values()]
        return all(is_typed_throughout(item) for item in (*below, schema.get("additionalProperties")))
    return True


_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas", "dependencies")
_VALUES = ("enum", "const", "default", "examples")


def _walk(schema: Any) -> Iterator[dict[str, Any]]:
    """The schema and every schema inside it, under whatever keyword. Values that are no schemas are left out."""
    if isinstance(schema, list):
        for item in schema:
            yield from _walk(item)
    elif isinstance(schema, dict):
        yield schema
        for key, below in schema.items():
            if key in _MAPS and isinstance(below, dict):
                yield from _walk(list(below.values()))
            elif key not in _VALUES:
                yield from _walk(below)


def _refuse_dangling_references(schema: dict[str, Any], draft: Draft) -> None:
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT4, DRAFT6, DRAFT7, DRAFT201909, DRAFT202012

    by_draft = {"4": DRAFT4, "6": DRAFT6, "7": DRAFT7, "2019-09": DRAFT201909, "2020-12": DRAFT202012}
    resource = by_draft[draft].create_resource(schema)
    root = str(schema.get("$id" if draft != "4" else "id") or "")
    resolver = Registry().with_resource(root, resource).resolver(root)
    for part in _walk(schema):
        reference = part.get("$ref")
        if isinstance(reference, str):
            try:
                resolver.lookup(reference)
            except Unresolvable as exc:
                raise PlanError(f"$ref {reference!r} leads nowhere inside the schema") from exc


def refuse_hanging_patterns(schema: Mapping[str, Any], name: str) -> None:
    """That the engine which is here can be trusted with the patterns of this section of a plan.

    Raises:
        PlanError: one of them could hang it, or is no regular expression for it.
    """
    if jsonschema_rs is None:
        try:
            _refuse_bad_patterns(dict(schema))
        except PlanError as exc:
            raise PlanError(exc.message, path=name) from exc


def _refuse_bad_patterns(schema: dict[str, Any]) -> None:
    """Only this engine backtracks: here a pattern such as `^(a+)+$` could hang a request for ever."""
    for part in _walk(schema):
        patterns = [part.get("pattern"), *(part.get("patternProperties") or {})]
        for pattern in patterns:
            if isinstance(pattern, str):
                try:
                    re.compile(pattern)
                    hangs = backtracks_catastrophically(pattern)
                except re.error as exc:
                    raise PlanError(f"pattern {pattern!r} is no regular expression here: {exc}") from exc
                if hangs:
                    raise PlanError(
                        f"pattern {pattern!r} can take for ever to fail: it repeats a repetition. Rewrite it, "
                        "or install jsonschema-rs, which is immune"
                    )
