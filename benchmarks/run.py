"""Measures this project beside its peers, and prints tables, ratios and targets: `python benchmarks/run.py`.

Every measurement is a process of its own; the rounds interleave the libraries, so that a busy moment of the machine hits
them alike; what is printed are medians of the rounds. See README.md here for how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environments
import report
from peers import PEERS

HERE = Path(__file__).parent
TIMEOUT_S = 120


@dataclass(frozen=True, kw_only=True)
class Part:
    """peers: who takes part. count: calls or requests a measurement makes."""

    peers: tuple[str, ...]
    rounds: int
    count: int


OWN = ("itly-memory", "itly-spool")
FULL = {
    "caller": Part(peers=tuple(PEERS), rounds=5, count=5000),
    "delivery": Part(peers=tuple(PEERS), rounds=3, count=20_000),
    "django": Part(peers=("bare", *OWN, "snowplow", "segment", "posthog", "original"), rounds=3, count=4000),
    "flask": Part(peers=("bare", *OWN, "snowplow", "segment", "posthog", "original"), rounds=3, count=4000),
}
QUICK = {
    "caller": Part(peers=OWN, rounds=1, count=200),
    "delivery": Part(peers=OWN, rounds=1, count=500),
    "django": Part(peers=("bare", *OWN), rounds=1, count=100),
    "flask": Part(peers=("bare", *OWN), rounds=1, count=100),
}


class Bench:
    """The interpreters, the package and the sink of one run."""

    def __init__(self, interpreters: dict[str, str], package: str, sink_url: str) -> None:
        self._interpreters = interpreters
        self._url = sink_url
        self._environ = {**os.environ, "ITLY_BENCH_PACKAGE": package, "PYTHONPATH": str(HERE)}

    def measure(self, part: str, peer: str, count: int) -> dict[str, Any]:
        """One measurement in a process of its own; {"skipped": why} where there is nothing to measure."""
        where = PEERS[peer].environment if peer in PEERS else "modern"
        command = [self._interpreters[where], str(HERE / "measure.py"), part, peer, self._url, str(count)]
        done = subprocess.run(command, env=self._environ, capture_output=True, text=True, timeout=TIMEOUT_S)
        if done.returncode:
            raise SystemExit(f"{part} of {peer} failed:\n{done.stdout}{done.stderr}")
        result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return result

    def forget(self) -> None:
        """Empty the sink."""
        import urllib.request

        with urllib.request.urlopen(urllib.request.Request(self._url + "/", method="DELETE")):
            pass


@contextlib.contextmanager
def sink(interpreter: str) -> Iterator[str]:
    """The URL of a sink that runs while the block does."""
    with subprocess.Popen([interpreter, str(HERE / "sink.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def run(bench: Bench, parts: dict[str, Part]) -> tuple[list[tuple[str, str, dict[str, Any]]], dict[str, str]]:
    """All rounds of all parts, and why some peers were left out."""
    results: list[tuple[str, str, dict[str, Any]]] = []
    skipped: dict[str, str] = {}
    for name, part in parts.items():
        for number in range(part.rounds):
            shift = number % len(part.peers)  # nobody is always first, or always after the same one
            for peer in part.peers[shift:] + part.peers[:shift]:
                if peer in skipped:
                    continue
                print(f"\r{name}, round {number + 1} of {part.rounds}: {peer:24}", end="", file=sys.stderr, flush=True)
                result = bench.measure(name, peer, part.count)
                bench.forget()
                if "skipped" in result:
                    skipped[peer] = result["skipped"]
                else:
                    results.append((name, peer, result))
    print("\r" + " " * 60 + "\r", end="", file=sys.stderr)
    return results, skipped


def reasons(bench: Bench, found: report.Measured, judged: list[report.Judged]) -> dict[str, str]:
    """For what missed its target: where the time goes, measured."""
    lines: dict[str, str] = {}
    for item in judged:
        part, subject = item.target.part, item.target.subject
        if item.is_met is not False:
            continue
        if part == "caller":
            rows = bench.measure("profile", subject, 20_000)["profile"]
            lines[f"{part}/{subject}"] = "of the call's own time: " + ", ".join(
                f"{share:.0%} {at}" for share, at in rows
            )
        elif part == "delivery":
            numbers = found[part][subject]
            caller = numbers["caller_cpu_ms_per_1000"]
            sender = numbers["cpu_ms_per_1000"] - caller
            lines[f"{part}/{subject}"] = (
                f"CPU per 1000 events: {caller:.1f} ms in the caller, {sender:.1f} ms in the sender"
            )
        else:
            numbers = found[part][subject]
            lines[f"{part}/{subject}"] = (
                f"p50 +{numbers['added_p50']:.1f} us, mean +{numbers['added_mean']:.1f} us; the difference is the sender,"
                " which shares the interpreter with the requests"
            )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="this project only, this interpreter, a few calls: does it run?"
    )
    parser.add_argument("--parts", default=",".join(FULL), help="which of: %(default)s")
    parser.add_argument("--rounds", type=int, help="rounds of every part")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write everything measured to FILE")
    given = parser.parse_args()

    started = time.perf_counter()
    if given.quick:
        interpreters = {"modern": sys.executable}
    else:
        interpreters = {name: environments.python(name) for name in environments.PINS}
    package = environments.package(interpreters["modern"])
    chosen = QUICK if given.quick else FULL
    parts = {name: chosen[name] for name in given.parts.split(",")}
    if given.rounds:
        parts = {name: Part(peers=part.peers, rounds=given.rounds, count=part.count) for name, part in parts.items()}

    with sink(interpreters["modern"]) as url:
        bench = Bench(interpreters, package, url)
        results, skipped = run(bench, parts)
        found = report.medians(results)
        judged = report.judge(found)
        why = reasons(bench, found, judged) if not given.quick else {}

    titles = {"bare": "no call", **{name: peer.title for name, peer in PEERS.items()}}
    print(report.tables(found, titles), end="\n\n")
    print(report.verdicts(judged, why))
    for peer, reason in skipped.items():
        print(f"  left out: {titles[peer]} ({reason})")
    print(
        f"\n{time.perf_counter() - started:.0f} s; absolute numbers are this machine's today, the ratios are what counts"
    )
    if given.json:
        targets = [
            {
                "target": item.target.text,
                "measured": item.measured,
                "at_most": item.target.at_most,
                "at_least": item.target.at_least,
                "is_met": item.is_met,
            }
            for item in judged
        ]
        document = {"medians": found, "targets": targets, "skipped": skipped, "reasons": why, "python": sys.version}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
