"""The failures that README shows a table of, each for real: nothing is lost, and README says what is measured."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_nothing_is_lost_and_readme_says_what_was_measured(tmp_path: Path) -> None:
    results = tmp_path / "failures.json"

    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "failures.py"), "--quick", "--json", str(results)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )

    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)
    rows = json.loads(results.read_text("utf-8"))["rows"]
    readme = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert [row["line"] for row in rows] == [line for line in readme if line in {row["line"] for row in rows}]
    assert [row["own"]["lost"] for row in rows] == [0] * len(rows)
    # A vendor that answered is not sent the same call twice; who is killed may have been about to note the answer.
    assert [row["title"] for row in rows if row["own"]["duplicated"] and "kill" not in row["title"]] == []
    assert sum(row["own"]["dead"] for row in rows) == 1
    assert max(row["own"]["end_s"] for row in rows if "is down at" in row["title"]) < 8  # 2, on an idle machine
