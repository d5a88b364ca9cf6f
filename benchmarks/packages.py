"""What a plan of many events costs: to pull it, and to import the package of it. Each in a process of its own."""

from __future__ import annotations

import compileall
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

OWN = Path(__file__).parent.parent
_IMPORT = """
import time
before = time.perf_counter(), time.process_time()
import itly_core.package
library = time.perf_counter(), time.process_time()
import big
package = time.perf_counter(), time.process_time()
print(library[0] - before[0], package[0] - library[0], package[1] - library[1])
"""


# Name -> events, properties in each. 55 public plans and schema registries have 4.7 properties an event, the most wordy one
# of any size 7.7.
PLANS = {"events-10": (10, 5), "events-2000": (2000, 5), "events-2000-wide": (2000, 8)}


def plan_of(events: int, properties: int) -> str:
    """A plan file. properties: how many each event has, up to 8."""
    return "".join(_lines(events, properties))


def _lines(events: int, properties: int) -> Iterator[str]:
    yield "itly: 1\nplan: {name: Many, version: 1.0.0, source: python}\nevents:\n"
    for number in range(events):
        yield f"""  Order Step {number} Taken:
    description: Step {number} on the way from the basket to the door.
    version: 1.0.0
    owner: team-{number % 7}
    properties:
"""
        yield from (f"      {line}\n" for line in _properties(number)[:properties])


def _properties(number: int) -> list[str]:
    return [
        "order_id: {type: string, required: true, description: The number on the invoice.}",
        "total: {type: number, minimum: 0, required: true}",
        f"count_{number % 50}: {{type: integer, minimum: 0}}",
        "currency: {enum: [EUR, USD, GBP], description: What it is paid in.}",
        "articles: {type: array, items: {type: string}}",
        "coupon: {type: string, nullable: true, maxLength: 20}",
        "is_gift: {type: boolean}",
        "placed_at: {type: string, format: date-time}",
    ]


def pull(directory: Path, plan: str) -> dict[str, float]:
    """Pull one of PLANS into the package `big` of the directory, anew. Seconds by the clock and of the processor."""
    (directory / "plan.yaml").write_text(plan_of(*PLANS[plan]), encoding="utf-8")
    for old in (directory / "big").glob("*.*"):
        old.unlink()
    cpu, clock = _cpu_of_children_s(), time.perf_counter()
    _run(directory, "-m", "itly_core", "pull", "--plan", "plan.yaml", "--path", "big")
    return {"pull_s": time.perf_counter() - clock, "pull_cpu_s": _cpu_of_children_s() - cpu}


def imports(directory: Path, times: int) -> dict[str, float]:
    """Milliseconds to import the package from byte code, once the library is: by the clock and of the processor.

    library_ms: what the library itself takes, which is the same for every package.
    """
    compileall.compile_dir(directory / "big", quiet=1)
    results = [[float(part) for part in _run(directory, "-c", _IMPORT).split()] for _ in range(times)]
    names = ("library_ms", "import_ms", "import_cpu_ms")
    return {
        name: 1000 * statistics.median(column) for name, column in zip(names, zip(*results, strict=True), strict=True)
    }


def _run(directory: Path, *arguments: str) -> str:
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join((str(directory), str(OWN)))}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed library has its byte code
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=directory, env=environ, stdout=subprocess.PIPE, text=True, check=True).stdout


def _cpu_of_children_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
