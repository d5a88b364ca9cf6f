"""A plan that cannot be used is refused with the file, the line and the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from itly_core.errors import PlanError
from itly_core.plans import load

from .bad_plans import BAD_PLANS, BadPlan


@pytest.mark.parametrize("bad", BAD_PLANS.values(), ids=BAD_PLANS.keys())
def test_a_bad_plan_names_its_line_and_key(bad: BadPlan, tmp_path: Path) -> None:
    file = tmp_path / "tracking-plan.yaml"
    file.write_text(bad.text, encoding="utf-8")

    with pytest.raises(PlanError) as caught:
        load(file)

    assert (caught.value.location, caught.value.path) == (f"{file}:{bad.line}", bad.path)
    assert bad.message in caught.value.message
