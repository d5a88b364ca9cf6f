"""What docs/plan-format.md shows is what is read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from itly_core.plans import load
from itly_core.plans.providers import itly

DOCS = (Path(__file__).parents[2] / "docs" / "plan-format.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```", DOCS, re.DOTALL | re.MULTILINE)
FILES = {match.group(1): text for text in EXAMPLES if (match := re.match(r"# (\S+\.yaml)\n", text))}


@pytest.mark.parametrize("text", [text for text in EXAMPLES if text not in FILES.values()])
def test_an_example_is_a_plan(text: str, tmp_path: Path) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(text, "utf-8")

    assert load(file).events


def test_the_example_in_several_files_is_a_plan(tmp_path: Path) -> None:
    for name, text in FILES.items():
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, "utf-8")

    assert [event.name for event in load(tmp_path).events] == ["Order Placed"]


@pytest.mark.parametrize(
    "key", sorted(itly.PARTS | itly.PLAN_KEYS | itly.DEFAULTS_KEYS | itly.EVENT_KEYS | itly.PROPERTY_KEYS)
)
def test_every_key_is_explained(key: str) -> None:
    assert f"`{key}`" in DOCS
