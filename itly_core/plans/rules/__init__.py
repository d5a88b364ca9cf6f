"""The table of lint rules. To add one: a function in the module of its subject, and a row with examples there."""

from __future__ import annotations

from . import names, schemas, texts
from .rule import Rule, whole

__all__ = ["RULES", "Rule", "whole"]

_OF_NO_LINT = (
    Rule(
        id="U001",
        severity="warning",
        wants="What `no_lint` names would be found without it.",
        bad="events: {Order Placed: {description: Somebody paid., no_lint: [D001]}}",
        good="events: {Order Placed: {no_lint: ['D001: obvious']}}",
    ),
    Rule(
        id="U002",
        severity="error",
        wants="What `no_lint` names is a rule.",
        bad="events: {Order Placed: {description: Somebody paid., no_lint: [D01]}}",
        good="events: {Order Placed: {no_lint: [D001]}}",
    ),
)
RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in sorted((*names.RULES, *texts.RULES, *schemas.RULES, *_OF_NO_LINT), key=lambda rule: rule.id)
}
