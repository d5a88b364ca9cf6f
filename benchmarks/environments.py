"""The virtual environments of a run, under .bench/: this project beside today's peers, and the original beside its pins."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).parent.parent
HOME = ROOT / ".bench"
FRAMEWORKS = ("Django==5.2.19", "Flask==3.1.3")
PINS: dict[str, tuple[str, ...]] = {
    "modern": (
        *FRAMEWORKS,
        "segment-analytics-python==2.4.0",
        "amplitude-analytics==1.3.0",
        "posthog==7.91.1",
        "rudder-sdk-python==2.1.9",
        "snowplow-tracker==1.1.0",
        "mixpanel==5.4.1",
    ),
    "legacy": (
        *FRAMEWORKS,
        "itly-sdk==0.1.24",
        "itly-plugin-schema-validator==0.1.9",
        "itly-plugin-amplitude==0.1.14",
        "jsonschema==3.2.0",
        "setuptools<81",  # jsonschema 3.2 asks it for its own version
    ),
}


def python(name: str) -> str:
    """The interpreter of an environment, made and filled if it is not there or its pins have changed."""
    directory = HOME / name
    interpreter = directory / "bin" / "python"
    stamp = directory / "pins"
    wanted = "\n".join((*PINS[name], sys.version, _own_requirements() if name == "modern" else ""))
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != wanted:
        print(f"setting up {directory.relative_to(ROOT)} ...", file=sys.stderr)
        venv.create(directory, with_pip=True, clear=True)
        own = ("--editable", str(ROOT)) if name == "modern" else ()
        subprocess.run([interpreter, "-m", "pip", "install", "--quiet", *PINS[name], *own], check=True)
        stamp.write_text(wanted, encoding="utf-8")
    return str(interpreter)


def _own_requirements() -> str:
    return hashlib.sha256((ROOT / "setup.cfg").read_bytes()).hexdigest()


def package(interpreter: str) -> str:
    """The directory that holds the package generated from the benchmark's plan."""
    directory = HOME / "package"
    directory.mkdir(parents=True, exist_ok=True)
    plan = Path(__file__).parent / "plan.json"
    command = [interpreter, "-m", "itly_core", "pull", "--plan", str(plan), "--path", str(directory / "itly")]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"the benchmark's plan could not be pulled:\n{done.stdout}{done.stderr}")
    return str(directory)
