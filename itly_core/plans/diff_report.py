"""A comparison of two plans, written down: as text, and as Markdown.

Texts of plans are somebody else's: in Markdown nothing of them is markup. What a terminal may be sent is looked after where
it is printed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from .diff import Diff, Line, Verdict, View, path_text
from .versions import Advice


def as_text(diff: Diff, view: View = View.BOTH, limit: int | None = None) -> Iterator[str]:
    """Lines for people, the worst first, without a heading. limit: no more changes than so many."""
    lines = diff.seen(view)
    for line in lines[:limit]:
        verdicts = "".join(f"{verdict.value:<11}  " for verdict in _verdicts(line, view))
        yield f"  {verdicts}{line.subject}: {line.message}"
    if limit is not None and len(lines) > limit:
        yield f"  and {len(lines) - limit} more"
    if diff.renames:
        yield "Possible renames:"
        for rename in diff.renames[:limit]:
            yield f"  {_owner(rename.kind, rename.name)}{rename.old} -> {rename.new} ({rename.reason})"
    said = [text for found in diff.versions if (text := advice_text(found))]
    yield from said[:limit]


def heading(diff: Diff, view: View = View.BOTH) -> Iterator[str]:
    yield f"{diff.old.title or 'a plan'} -> {diff.new.title or 'a plan'}"
    yield counts_text(diff, view)


def counts_text(diff: Diff, view: View = View.BOTH) -> str:
    """`callers: 1 breaking, 4 compatible; consumers: 5 compatible`."""
    if not diff.lines:
        return "no differences"
    return "; ".join(
        f"{one.value}: {', '.join(f'{count} {word}' for word, count in diff.counts(one).items() if count)}"
        for one in views(view)
    )


def views(view: View) -> tuple[View, ...]:
    return (View.CALLERS, View.CONSUMERS) if view is View.BOTH else (view,)


def head(view: View) -> str:
    """What stands above the columns."""
    return f"  {''.join(f'{one.value:<11}  ' for one in views(view))}change"


def advice_text(found: Advice) -> str:
    """What is to be said of a version; nothing where it is high enough, or nothing is asked of it."""
    whose = f"{found.event}: its version" if found.event else "The plan's version"
    word = f" ({found.bump.word})" if found.bump else ""
    if found.is_enough is False:
        how = f"is still {found.old}" if found.new == found.old else f"{found.new} is too low after {found.old}"
        return f"{whose} {how}: {found.suggested}{word} at least."
    if found.is_enough or not found.bump or (found.event and not found.suggested):
        return ""
    if found.suggested:
        return f"{whose} should be {found.suggested}{word} at least."
    return f"This is a {found.bump.word} change of the plan."


def as_markdown(diff: Diff, view: View = View.BOTH) -> Iterator[str]:
    """A section for a changelog or a comment."""
    yield f"### {escaped(diff.old.title or 'a plan')} → {escaped(diff.new.title or 'a plan')}"
    yield ""
    yield escaped(counts_text(diff, view)).capitalize() + "."
    if diff.lines:
        yield ""
        yield f"| change | {' | '.join(one.value for one in views(view))} | SchemaVer |"
        yield f"|---|{'---|' * len(views(view))}---|"
        for line in diff.seen(view):
            cells = [
                f"**{verdict.value}**" if verdict is Verdict.BREAKING else verdict.value
                for verdict in _verdicts(line, view)
            ]
            subject = f"**{escaped(line.name or line.kind)}**" + (
                f" {_code(path_text(line.path))}" if line.path else ""
            )
            yield f"| {subject}: {escaped(line.message)} | {' | '.join(cells)} | {line.schemaver.word} |"
    if diff.renames:
        yield ""
        yield "Possible renames:"
        yield ""
        for rename in diff.renames:
            owner = f"{escaped(rename.name or rename.kind)}: " if rename.kind else ""
            yield f"- {owner}{_code(rename.old)} → {_code(rename.new)} ({rename.reason})"
    said = [text for found in diff.versions if (text := advice_text(found))]
    if said:
        yield ""
        yield from (f"- {escaped(text)}" for text in said)


_MARKUP = re.compile(r"[\\`*_\[\]<>|~&$]")
_LINKED = re.compile(r"[@#]|://|www\.|GH-")  # GitHub makes links of these even where they are escaped, but not in code


def escaped(text: str) -> str:
    """Text in a line of Markdown, or a cell of a table, in which nothing is markup, a mention or a link."""
    if _LINKED.search(text):
        return _code(text)
    plain = " ".join(text.replace(" -> ", " → ").split())
    return _MARKUP.sub(lambda match: f"\\{match[0]}", plain)


def _code(text: str) -> str:
    plain = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (max(map(len, re.findall("`+", plain)), default=0) + 1)
    pad = " " if plain.startswith("`") or plain.endswith("`") or not plain else ""
    return f"{fence}{pad}{plain}{pad}{fence}"


def _owner(kind: str, name: str) -> str:
    return f"{name or f'({kind})'}: " if kind else ""


def _verdicts(line: Line, view: View) -> list[Verdict]:
    return [line.verdict(one) for one in views(view)]
