"""From measurements to tables: medians of the rounds, and targets, judged by ratios between libraries within a round.

An absolute time belongs to one machine on one day.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Rounds = Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]  # part -> peer -> one result a round
Medians = dict[str, dict[str, dict[str, float]]]  # part -> peer -> name -> median of the rounds

COLUMNS = {
    "caller": (("p50", "p50 us"), ("p99", "p99 us"), ("p99.9", "p99.9 us"), ("mean", "mean us")),
    "crowd": (("p50", "p50 us"), ("p99", "p99 us"), ("p99.9", "p99.9 us"), ("mean", "mean us")),
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
    "package": (
        ("pull_s", "pull s"),
        ("pull_cpu_s", "of it, CPU"),
        ("import_ms", "import ms"),
        ("import_cpu_ms", "of it, CPU"),
        ("library_ms", "library ms"),
    ),
}
TITLES = {
    "caller": "Cost of one call in its caller's thread (sender off, queues unlimited)",
    "crowd": "The same, four processes calling at once into one spool (the worst of the four)",
    "delivery": "From the first call until a local sink has acknowledged everything (best settings)",
    "django": "One request through Django, with one call in the view (default settings, sender running)",
    "flask": "One request through Flask, with one call in the view (default settings, sender running)",
    "package": "From a plan to a package, and its import from byte code once the library is imported",
}


def with_added(peers: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, list[dict[str, float]]]:
    """The rounds of a part, with what a request costs more than the one without a call in the same round."""
    bare = peers.get("bare")
    if bare is None:
        return {peer: [dict(result) for result in results] for peer, results in peers.items()}
    return {
        peer: [
            {**result, "added_p50": result["p50"] - base["p50"], "added_mean": result["mean"] - base["mean"]}
            for result, base in zip(results, bare, strict=True)
        ]
        for peer, results in peers.items()
    }


def medians(rounds: Rounds) -> Medians:
    """The median of each number over the rounds."""
    return {
        part: {
            peer: {name: statistics.median(result[name] for result in results) for name in results[0]}
            for peer, results in with_added(peers).items()
        }
        for part, peers in rounds.items()
    }


@dataclass(frozen=True, kw_only=True)
class Target:
    """What one library's number should be, in proportion to another's of the same round; without `other`, as it is."""

    text: str
    part: str
    name: str
    subject: str
    other: str | None
    at_most: float | None = None
    at_least: float | None = None

    def measured(self, rounds: Rounds) -> float | None:
        """The median over the rounds; None where something was not measured."""
        return median_of(rounds, self.part, self.name, self.subject, self.other)


def median_of(rounds: Rounds, part: str, name: str, subject: str, other: str | None) -> float | None:
    """The median over the rounds of a library's number, or of its proportion to another's in the same round; None where
    something was not measured."""
    peers = with_added(rounds.get(part, {}))
    if subject not in peers or (other is not None and other not in peers):
        return None
    mine = [result[name] for result in peers[subject]]
    if other is None:
        return statistics.median(mine)
    theirs = [result[name] for result in peers[other]]
    return statistics.median(one / another for one, another in zip(mine, theirs, strict=True) if another)


# Text, part, number, the library it is a proportion of: the table of the project's README.
COSTS = (
    ("a call, beside the original with its validation", "caller", "p50", "original"),
    ("a call, beside Segment's", "caller", "p50", "segment"),
    ("a call, beside Mixpanel's encoding alone", "caller", "p50", "mixpanel"),
    ("delivered events per second, beside Snowplow, the fastest of the others", "delivery", "events_per_s", "snowplow"),
    ("CPU per delivered event, beside Snowplow", "delivery", "cpu_ms_per_1000", "snowplow"),
    ("added to a Django request, with its facts, beside Snowplow without any", "django", "added_p50", "snowplow"),
    ("added to a Flask request, the same", "flask", "added_p50", "snowplow"),
)


def costs(rounds: Rounds) -> str:
    """The proportions in memory and through the spool, as the project's README has them; empty if none was measured."""
    lines = []
    for text, part, name, other in COSTS:
        found = [median_of(rounds, part, name, f"itly-{mode}", other) for mode in ("memory", "spool")]
        if None not in found:
            lines.append(f"| {text} | {' | '.join(f'{value:.2f}' for value in found)} |")
    return "\n".join(["| | in memory | through the spool |", "|---|---|---|", *lines]) if lines else ""


def _caller(text: str, mode: str, other: str, at_most: float) -> Target:
    return Target(text=text, part="caller", name="p50", subject=f"itly-{mode}", other=other, at_most=at_most)


def _of_mode(mode: str) -> tuple[Target, ...]:
    subject = f"itly-{mode}"
    return (
        Target(
            text=f"{mode}: events/s >= 100/52 of Snowplow's",
            part="delivery",
            name="events_per_s",
            subject=subject,
            other="snowplow",
            at_least=100 / 52,
        ),
        Target(
            text=f"{mode}: CPU per event <= 10/21 of Snowplow's",
            part="delivery",
            name="cpu_ms_per_1000",
            subject=subject,
            other="snowplow",
            at_most=10 / 21,
        ),
        *(
            Target(
                text=f"{mode}: added to a {framework.title()} request <= 12/35 of Snowplow's",
                part=framework,
                name="added_p50",
                subject=subject,
                other="snowplow",
                at_most=12 / 35,
            )
            for framework in ("django", "flask")
        ),
    )


TARGETS = (
    _caller("memory: call <= 1/12 of the original with validation", "memory", "original", 1 / 12),
    _caller("memory: call below Mixpanel's encoding alone", "memory", "mixpanel", 1.0),
    _caller("spool: call <= 1/8 of the original with validation", "spool", "original", 1 / 8),
    _caller("spool: call <= 1/3 of Segment's", "spool", "segment", 1 / 3),
    *(
        Target(
            text=f"spool: {name} of a call, 4 processes at once (us)",
            part="crowd",
            name=name,
            subject="itly-spool",
            other=None,
            at_most=at_most,
        )
        for name, at_most in (("p99", 25.0), ("p99.9", 200.0))
    ),
    *_of_mode("memory"),
    *_of_mode("spool"),
    *(
        Target(text=text, part="package", name=name, subject="events-2000", other=None, at_most=at_most)
        for text, name, at_most in (
            ("pull of 2,000 events (s)", "pull_s", 5.0),
            ("import of a package of 2,000 events (ms)", "import_ms", 30.0),
        )
    ),
)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A target beside what was measured. `is_met` is None where something it needs was not measured."""

    target: Target
    measured: float | None
    is_met: bool | None


def judge(rounds: Rounds) -> list[Judged]:
    """Every target whose part was measured."""
    judged = []
    for target in TARGETS:
        if target.part not in rounds:
            continue
        measured = target.measured(rounds)
        is_met = measured is not None and (
            (target.at_most is None or measured <= target.at_most)
            and (target.at_least is None or measured >= target.at_least)
        )
        judged.append(Judged(target=target, measured=measured, is_met=None if measured is None else is_met))
    return judged


def tables(found: Medians, titles: Mapping[str, str]) -> str:
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
    lines = ["Targets (medians over the rounds of the ratio within a round)"]
    said = set()
    for item in judged:
        target = item.target
        wanted = f"<= {target.at_most:.3g}" if target.at_most is not None else f">= {target.at_least:.3g}"
        word = {True: "met", False: "MISSED", None: "not measured"}[item.is_met]
        measured = f"{item.measured:.3g}" if item.measured is not None else "-"
        lines.append(f"  {word:13}{target.text:58} {measured:>8}  (wanted {wanted})")
        key = f"{target.part}/{target.subject}"
        if item.is_met is False and key in reasons and key not in said:
            said.add(key)
            lines += [f"      {line}" for line in reasons[key].splitlines()]
    return "\n".join(lines)
