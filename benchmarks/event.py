"""The one event everybody sends, and its schema. Standard library only: read in every environment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

NAME = "Process Started"
USER = "user-1"
CONTEXT = {"version": "1.0"}
PLAN_FILE = Path(__file__).parent / "plan.json"


def properties(number: int) -> dict[str, Any]:
    """Eight properties of every JSON type, about 340 bytes on the wire. `process_id` is how the sink tells events apart."""
    return {
        "process_id": f"p-{number:08d}",
        "available_processors": 8,
        "load": 0.625,
        "is_warm": True,
        "region": "eu-west",
        "tags": ["blue", "canary", "spot"],
        "host": {"name": "web-17.example.internal", "os": "linux", "cores": 8},
        "started_at": "2026-01-01T00:00:00.123Z",
    }


def schemas() -> dict[str, dict[str, Any]]:
    """JSON Schema of the event and of the context, by name."""
    plan = json.loads(PLAN_FILE.read_text(encoding="utf-8"))
    return {NAME: plan["events"][NAME]["schema"], "context": plan["context"]["schema"]}
