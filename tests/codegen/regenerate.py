"""Writes tests/codegen/golden/ anew, after a change of the generator: `python -m tests.codegen.regenerate`.

Read the difference before committing it: users will see the same one.
"""

from __future__ import annotations

from pathlib import Path

from itly_core.codegen import render, write
from itly_core.plans import load

PLAN = Path(__file__).parent / "golden.yaml"
PACKAGE = Path(__file__).parent / "golden"


def files() -> dict[str, bytes]:
    return render(load(PLAN))


if __name__ == "__main__":
    done = write(files(), PACKAGE)
    print(f"written: {', '.join(done.written) or 'nothing'}")
