"""Measures this project beside its peers, and prints tables, ratios and targets: `python benchmarks/run.py`.

Every library has a process of its own, and they take turns in short rounds, so that a busy moment of the machine hits
them alike. What is printed are medians of the rounds. See README.md here for how to read it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import environments
import packages
import report
from peers import PEERS

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Part:
    """peers: who takes part. count: calls or requests a round makes. at_once: processes of one peer, in the same spool."""

    peers: tuple[str, ...]
    rounds: int
    count: int
    at_once: int = 1


OWN = ("itly-memory", "itly-spool")
IN_REQUESTS = ("bare", *OWN, "snowplow", "segment", "posthog", "original")
FULL = {
    "caller": Part(peers=tuple(PEERS), rounds=21, count=1000),
    "crowd": Part(peers=("itly-spool", "computation"), rounds=5, count=10_000, at_once=4),
    "delivery": Part(peers=tuple(PEERS), rounds=7, count=6000),
    "django": Part(peers=IN_REQUESTS, rounds=15, count=700),
    "flask": Part(peers=IN_REQUESTS, rounds=15, count=700),
    "package": Part(peers=tuple(packages.PLANS), rounds=5, count=9),
}
QUICK = {
    "caller": Part(peers=OWN, rounds=1, count=200),
    "crowd": Part(peers=("itly-spool", "computation"), rounds=1, count=200, at_once=4),
    "delivery": Part(peers=OWN, rounds=1, count=500),
    "django": Part(peers=("bare", *OWN), rounds=1, count=100),
    "flask": Part(peers=("bare", *OWN), rounds=1, count=100),
    "package": Part(peers=("events-10",), rounds=1, count=1),
}


class Worker:
    """A process that measures one library, waiting between its rounds."""

    def __init__(self, command: list[str], environ: dict[str, str]) -> None:
        self._name = " ".join(command[2:4])
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed by close()
        self._process = subprocess.Popen(
            command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True
        )

    def start(self, count: int) -> None:
        """Begin a round."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()

    def answer(self) -> Any:
        """The next line of its output that is JSON: what it is ready for, or measured."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):
                return json.loads(line)
        self._errors.seek(0)
        raise SystemExit(f"{self._name} failed:\n{self._errors.read()}")

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()


class Bench:
    """The interpreters, the package, the sink and the temporary directory of one run."""

    def __init__(self, interpreters: dict[str, str], package: str, sink_url: str, scratch: str) -> None:
        self._interpreters = interpreters
        self._url = sink_url
        own = {"ITLY_BENCH_PACKAGE": package, "PYTHONPATH": str(HERE), "TMPDIR": scratch}
        self._environ = {**os.environ, **own}

    def worker(self, part: str, peer: str, spool: str = "") -> Worker:
        """A process for one library, which then answers `ready` or why there is nothing to measure."""
        where = PEERS[peer].environment if peer in PEERS else "modern"
        command = [self._interpreters[where], str(HERE / "measure.py"), part, peer, self._url]
        return Worker(command, {**self._environ, "ITLY_BENCH_SPOOL": spool})

    def measure(self, part: str, peer: str, count: int) -> Any:
        """A single round."""
        worker = self.worker(part, peer)
        try:
            worker.answer()
            worker.start(count)
            return worker.answer()
        finally:
            worker.close()

    def forget(self) -> None:
        """Empty the sink."""
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


def run(bench: Bench, parts: dict[str, Part]) -> tuple[report.Rounds, dict[str, str]]:
    """All rounds of all parts, and why some peers were left out."""
    rounds: dict[str, dict[str, list[dict[str, float]]]] = {}
    skipped: dict[str, str] = {}
    for name, part in parts.items():
        with contextlib.ExitStack() as stack:
            workers: dict[str, list[Worker]] = {}
            for peer in part.peers:
                spool = stack.enter_context(tempfile.TemporaryDirectory()) if part.at_once > 1 else ""
                crowd = [bench.worker(name, peer, spool) for _ in range(part.at_once)]
                for worker in crowd:
                    stack.callback(worker.close)
                refusals = [answer["skipped"] for worker in crowd if (answer := worker.answer()) != "ready"]
                if refusals:
                    skipped[peer] = refusals[0]
                else:
                    workers[peer] = crowd
            for number in range(part.rounds):
                print(f"\r{name}: round {number + 1} of {part.rounds} ", end="", file=sys.stderr, flush=True)
                for peer, crowd in workers.items():
                    results = rounds.setdefault(name, {}).setdefault(peer, [])
                    results.append(_round(crowd, part.count))
                    bench.forget()
    print("\r" + " " * 40 + "\r", end="", file=sys.stderr)
    return rounds, skipped


def _round(workers: list[Worker], count: int) -> dict[str, float]:
    """One round of all at once; of several, the worst of each number."""
    for worker in workers:
        worker.start(count)
    answers = [worker.answer() for worker in workers]
    return {name: max(answer[name] for answer in answers) for name in answers[0]}


def reasons(bench: Bench, found: report.Medians, judged: list[report.Judged]) -> dict[str, str]:
    """For what missed its target: where the time goes, measured."""
    lines: dict[str, str] = {}
    for item in judged:
        part, subject = item.target.part, item.target.subject
        key = f"{part}/{subject}"
        if item.is_met is not False or key in lines:
            continue
        numbers = found[part][subject]
        if part in ("caller", "crowd"):
            lines[key] = "of a call's time: " + _ranked(bench.measure("profile", subject, 20_000))
            if part == "crowd":
                plain = found[part]["computation"]
                lines[key] += (
                    f"\n{os.cpu_count()} processors; four at once of a computation that writes nothing: "
                    f"p50 {plain['p50']:.0f}, p99 {plain['p99']:.0f}, p99.9 {plain['p99.9']:.0f} us"
                )
        elif part == "delivery":
            caller, whole = numbers["caller_cpu_ms_per_1000"], numbers["cpu_ms_per_1000"]
            lines[key] = (
                f"CPU per 1000 events: {caller:.1f} ms in the caller, {whole - caller:.1f} ms in the sender\n"
                f"of the sender's time: {_ranked(bench.measure('profile-delivery', subject, 6000))}"
            )
        elif part == "package":
            lines[key] = (
                f"CPU of the pull: {numbers['pull_cpu_s']:.1f} s, of the import: {numbers['import_cpu_ms']:.0f} ms"
            )
        else:
            profile = _ranked(bench.measure(f"profile-{part}", subject, 3000))
            lines[key] = f"p50 +{numbers['added_p50']:.1f} us; of a request's time: {profile}"
    return lines


def _ranked(result: dict[str, Any]) -> str:
    return ", ".join(f"{share:.0%} {place}" for share, place in result["profile"])


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
        parts = {name: replace(part, rounds=given.rounds) for name, part in parts.items()}

    with sink(interpreters["modern"]) as url, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        bench = Bench(interpreters, package, url, scratch)
        rounds, skipped = run(bench, parts)
        found = report.medians(rounds)
        judged = report.judge(rounds)
        why = reasons(bench, found, judged) if not given.quick else {}

    titles = {"bare": "no call", "computation": "a computation instead of a call"} | {
        name: f"{events:,} events of {properties} properties" for name, (events, properties) in packages.PLANS.items()
    }
    titles |= {name: peer.title for name, peer in PEERS.items()}
    print(report.tables(found, titles), end="\n\n")
    if costs := report.costs(rounds):
        print(costs, end="\n\n")
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
