"""From measurements to one table: medians of the rounds, ratios between libraries, and the targets they answer to.

Only ratios are judged: an absolute time belongs to one machine on one day.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

Measured = Mapping[str, Mapping[str, Mapping[str, float]]]  # part -> peer -> name -> median of the rounds

COLUMNS = {
    "caller": (("p50", "p50 us"), ("p99", "p99 us"), ("p99.9", "p99.9 us"), ("mean", "mean us")),
    "delivery": (
        ("events_per_s", "events/s"),
        ("cpu_ms_per_1000", "CPU ms/1000"),
        ("caller_cpu_ms_per_1000", "of it, caller"),
        ("lost", "lost"),
        ("peak_rss_mb", "peak MB"),
    ),
    "django": (
        ("p50", "p50 us"),
        ("p99", "p99 us"),
        ("mean", "mean us"),
        ("added_p50", "added p50"),
        ("added_mean", "mean"),
    ),
    "flask": (
        ("p50", "p50 us"),
        ("p99", "p99 us"),
        ("mean", "mean us"),
        ("added_p50", "added p50"),
        ("added_mean", "mean"),
    ),
}
TITLES = {
    "caller": "Cost of one call in its caller's thread (sender off, queues unlimited)",
    "delivery": "From the first call until a local sink has acknowledged everything (best settings)",
    "django": "One request through Django, with one call in the view (default settings, sender running)",
    "flask": "One request through Flask, with one call in the view (default settings, sender running)",
}


def medians(rounds: Iterable[tuple[str, str, Mapping[str, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """The median of each number over the rounds; what a request costs more than one without a call beside it."""
    collected: dict[str, dict[str, dict[str, list[float]]]] = {}
    for part, peer, result in rounds:
        names = collected.setdefault(part, {}).setdefault(peer, {})
        for name, value in result.items():
            names.setdefault(name, []).append(value)
    found = {
        part: {
            peer: {name: statistics.median(values) for name, values in names.items()} for peer, names in peers.items()
        }
        for part, peers in collected.items()
    }
    for peers in found.values():
        bare = peers.get("bare")
        for numbers in peers.values() if bare is not None else ():
            numbers["added_p50"] = numbers["p50"] - bare["p50"]
            numbers["added_mean"] = numbers["mean"] - bare["mean"]
    return found


@dataclass(frozen=True, kw_only=True)
class Target:
    """subject: what is judged, so that its profile can be shown when it is missed. ratio: of two medians, or None."""

    text: str
    part: str
    subject: str
    ratio: Callable[[Measured], float]
    at_most: float | None = None
    at_least: float | None = None


def _ratio(part: str, name: str, subject: str, other: str) -> Callable[[Measured], float]:
    return lambda found: found[part][subject][name] / found[part][other][name]


TARGETS = (
    Target(
        text="memory call <= 1/12 of the original with validation",
        part="caller",
        subject="itly-memory",
        ratio=_ratio("caller", "p50", "itly-memory", "original"),
        at_most=1 / 12,
    ),
    Target(
        text="memory call below Mixpanel's encoding alone",
        part="caller",
        subject="itly-memory",
        ratio=_ratio("caller", "p50", "itly-memory", "mixpanel"),
        at_most=1.0,
    ),
    Target(
        text="spooled call <= 1/8 of the original with validation",
        part="caller",
        subject="itly-spool",
        ratio=_ratio("caller", "p50", "itly-spool", "original"),
        at_most=1 / 8,
    ),
    Target(
        text="spooled call <= 1/3 of Segment's",
        part="caller",
        subject="itly-spool",
        ratio=_ratio("caller", "p50", "itly-spool", "segment"),
        at_most=1 / 3,
    ),
    *(
        Target(
            text=f"{mode}: events/s >= 100/52 of Snowplow's",
            part="delivery",
            subject=f"itly-{mode}",
            ratio=_ratio("delivery", "events_per_s", f"itly-{mode}", "snowplow"),
            at_least=100 / 52,
        )
        for mode in ("memory", "spool")
    ),
    *(
        Target(
            text=f"{mode}: CPU per event <= 10/21 of Snowplow's",
            part="delivery",
            subject=f"itly-{mode}",
            ratio=_ratio("delivery", "cpu_ms_per_1000", f"itly-{mode}", "snowplow"),
            at_most=10 / 21,
        )
        for mode in ("memory", "spool")
    ),
    *(
        Target(
            text=f"{mode}: added to a {framework.title()} request <= 12/35 of Snowplow's",
            part=framework,
            subject=f"itly-{mode}",
            ratio=_ratio(framework, "added_p50", f"itly-{mode}", "snowplow"),
            at_most=12 / 35,
        )
        for framework in ("django", "flask")
        for mode in ("memory", "spool")
    ),
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A target beside what was measured. `is_met` is None where something it needs was not measured."""

    target: Target
    measured: float | None
    is_met: bool | None


def judge(found: Measured) -> list[Judged]:
    """Every target whose part was measured."""
    judged = []
    for target in TARGETS:
        if target.part not in found:
            continue
        try:
            measured = target.ratio(found)
        except (KeyError, ZeroDivisionError):
            judged.append(Judged(target=target, measured=None, is_met=None))
            continue
        is_met = (target.at_most is None or measured <= target.at_most) and (
            target.at_least is None or measured >= target.at_least
        )
        judged.append(Judged(target=target, measured=measured, is_met=is_met))
    return judged


def tables(found: Measured, titles: Mapping[str, str]) -> str:
    """The measurements, a table per part."""
    return "\n\n".join(_table(part, found[part], titles) for part in COLUMNS if part in found)


def _table(part: str, peers: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]) -> str:
    columns = COLUMNS[part]
    lines = [TITLES[part], f"{'':38}" + "".join(f"{title:>15}" for _, title in columns)]
    for peer, numbers in peers.items():
        cells = (
            f"{numbers[name]:>15,.0f}" if abs(numbers[name]) >= 1000 else f"{numbers[name]:>15.1f}"
            for name, _ in columns
        )
        lines.append(f"{titles.get(peer, peer):38}" + "".join(cells))
    return "\n".join(lines)


def verdicts(judged: Iterable[Judged], reasons: Mapping[str, str]) -> str:
    """The targets, and under one that is missed what was measured about it. reasons: "part/subject" -> lines."""
    lines = ["Targets (ratios of medians of this run)"]
    said = set()
    for item in judged:
        target = item.target
        wanted = f"<= {target.at_most:.3f}" if target.at_most is not None else f">= {target.at_least:.2f}"
        word = {True: "met", False: "MISSED", None: "not measured"}[item.is_met]
        measured = f"{item.measured:.3f}" if item.measured is not None else "-"
        lines.append(f"  {word:13}{target.text:58} {measured:>8}  (wanted {wanted})")
        key = f"{target.part}/{target.subject}"
        if item.is_met is False and key in reasons and key not in said:
            said.add(key)
            lines += [f"      {line}" for line in reasons[key].splitlines()]
    return "\n".join(lines)
