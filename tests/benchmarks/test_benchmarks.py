"""The benchmarks run, and judge ratios as they say."""

from __future__ import annotations

import base64
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote_plus

import pytest

ROOT = Path(__file__).parents[2]
BENCHMARKS = ROOT / "benchmarks"


@pytest.fixture
def report(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("report")


@pytest.fixture
def sink_module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("sink")


def test_a_quick_run_measures_every_part(tmp_path):
    results = tmp_path / "results.json"

    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "run.py"), "--quick", "--json", str(results)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 0, done.stderr
    medians = json.loads(results.read_text())["medians"]
    assert {"caller", "delivery", "django", "flask", "package"} <= medians.keys()
    assert medians["delivery"]["itly-memory"]["lost"] == 0
    assert "Targets" in done.stdout


def test_medians_are_taken_over_rounds_and_compared_with_no_call(report):
    bare = [{"p50": p50, "mean": 10.0} for p50 in (9.0, 10.0, 50.0)]
    ours = [{"p50": p50, "mean": 16.0} for p50 in (13.0, 14.0, 56.0)]

    found = report.medians({"django": {"bare": bare, "itly-memory": ours}})

    assert found["django"]["itly-memory"] == {"p50": 14.0, "mean": 16.0, "added_p50": 4.0, "added_mean": 6.0}


@pytest.mark.parametrize(
    ("ours", "is_met", "word"),
    [((4.0, 99.0, 3.0), True, "met"), ((4.2, 4.3, 1.0), False, "MISSED"), (None, None, "not measured")],
    ids=["met", "missed", "absent"],
)
def test_a_target_is_judged_by_the_median_of_ratios_within_rounds(report, ours, is_met, word):
    peers = {"original": [{"p50": 50.0}] * 3, "mixpanel": [{"p50": 7.0}] * 3}
    if ours is not None:
        peers["itly-memory"] = [{"p50": p50} for p50 in ours]

    judged = report.judge({"caller": peers})
    text = report.verdicts(judged, {"caller/itly-memory": "of the call's own time: 50% put"})

    assert judged[0].is_met is is_met
    assert word in text
    assert ("50% put" in text) is (is_met is False)


def test_what_readme_says_it_costs_is_what_a_run_prints(report):
    """Each row by the same name, and as a median of proportions within rounds, not a proportion of medians."""
    rounds = {}
    for _, part, name, other in report.COSTS:
        peers = rounds.setdefault(part, {})
        for peer in ("itly-memory", "itly-spool", other):
            results = peers.setdefault(peer, [{}, {}, {}])
            for result, value in zip(results, (1.0, 2.0, 8.0) if peer == other else (1.0, 6.0, 8.0), strict=True):
                result |= {name: value, "p50": value, "mean": value}
    for part in ("django", "flask"):
        rounds[part]["bare"] = [{"p50": 0.0, "mean": 0.0}] * 3
    printed = report.costs(rounds).splitlines()
    table = (ROOT / "README.md").read_text("utf-8").partition("## What it costs")[2].partition("\n\n|")[2]

    assert [line.rsplit("|", 3)[0] for line in printed[2:]] == [
        line.rsplit("|", 3)[0] for line in table.partition("\n\n")[0].splitlines()[2:]
    ]
    assert all(line.endswith("| 1.00 | 1.00 |") for line in printed[2:])
    assert report.costs({}) == ""


def test_parts_that_were_not_measured_are_not_judged(report):
    assert report.judge({}) == []


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b'{"batch":[' + text + b"]}",
        lambda text: b"data=" + quote_plus(text.decode()).encode() + b"&ip=0",
        lambda text: b'{"data":[{"ue_px":"' + base64.urlsafe_b64encode(text).rstrip(b"=") + b'"}]}',
    ],
    ids=["JSON", "form", "Snowplow"],
)
def test_the_sink_finds_the_events_of_every_vendor(sink_module, encode):
    body = encode(b'{"process_id":"p-00000001","tags":["p-1"]}')

    assert sink_module.process_ids(body) == {b"p-00000001"}
