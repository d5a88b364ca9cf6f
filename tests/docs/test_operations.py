"""What the pages for whoever is on call say is so: the spool's format, the metrics, the log."""

from __future__ import annotations

import ast
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from itly_core import call
from itly_core.delivery import state
from itly_core.exporters.readings import METRICS
from tests.docs.snippets import ROOT, snippets
from tests.spool.delivering import Adapter, accept, eventually, ids_of, line_of, start, write

FORMAT = (ROOT / "docs" / "spool-format.md").read_text("utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text("utf-8")
READER = next(snippet for snippet in snippets("docs/spool-format.md") if snippet.file == "read_spool.py")


def test_a_reader_written_after_the_page_reads_a_spool(tmp_path: Path) -> None:
    """With plain JSON: whole lines of living and dead processes, not the half ones."""
    spool = tmp_path / "spool"
    (dead,) = write(spool, ids_of("dead", 3))
    dead.write_bytes(dead.read_bytes() + b"damage\n" + line_of("torn")[:30])
    adapter = Adapter()
    adapter.is_down = True
    living = start(spool, adapter, flush_interval=60.0)
    accept(living, *ids_of("living", 2))
    (tmp_path / "read_spool.py").write_text(READER.text)
    done = subprocess.run(
        [sys.executable, tmp_path / "read_spool.py", spool], capture_output=True, text=True, check=True
    )
    living.shutdown(0.5)

    read = [line.split() for line in done.stdout.splitlines()]
    assert read == [["track", "Seen", name] for name in [*ids_of("dead", 3), *ids_of("living", 2)]]
    assert done.stderr.splitlines() == [f"{dead.name}: a line is damaged", "1 files are complete"]


def test_a_reader_leaves_another_format_alone(tmp_path: Path) -> None:
    (tmp_path / "spool.json").write_text('{"format": 2}')
    (tmp_path / "read_spool.py").write_text(READER.text)
    done = subprocess.run([sys.executable, tmp_path / "read_spool.py", tmp_path], capture_output=True, text=True)

    assert done.returncode == 1
    assert "is of format 2" in done.stderr


def test_every_file_of_a_spool_is_explained(tmp_path: Path) -> None:
    adapter = Adapter()
    (file,) = write(tmp_path, ["m-0"])
    file.write_bytes(b"damage\n" + file.read_bytes())
    delivery = start(tmp_path, adapter)
    accept(delivery, "m-1")
    delivery.flush(20.0)
    eventually(lambda: len(adapter.calls) == 2 and (tmp_path / "lanes.json").exists())
    delivery.stats()
    names = {path.name for path in tmp_path.iterdir()}
    delivery.shutdown(20.0)

    listed = {
        name for row in re.findall(r"^\| (`.*?) \|", FORMAT, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)
    }
    calls = {name for name in names if re.fullmatch(r"\d{13}-\d+-[0-9a-f]{8}-\d+\.ndjson", name)}
    drafts = {name for name in names if name.startswith(".")}
    assert calls
    assert "quarantine" in names
    assert names - calls - drafts - {"quarantine"} <= listed
    assert {"<time>-<pid>-<random>-<serial>.ndjson", ".<name>", "quarantine/<file>-<offset>"} <= listed


def test_every_field_of_a_call_is_explained() -> None:
    fields = {*call._FIELDS, "timestamp_ms", "violations"}

    assert {name for name in fields if f"`{name}`" not in FORMAT} == set()


def test_every_table_and_column_of_the_state_is_explained() -> None:
    db = sqlite3.connect(":memory:")
    db.executescript(state._SCHEMA)
    tables = {
        name: {column for _, column, *_ in db.execute(f"PRAGMA table_info({name})")}
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    }
    db.close()
    rows = re.findall(r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", FORMAT, re.MULTILINE)

    assert {name: set(re.findall(r"`(\w+)`", columns)) for name, columns in rows if name in tables} == tables
    assert f"`PRAGMA user_version` is {state.VERSION}" in FORMAT


def test_every_metric_is_explained() -> None:
    assert {metric.name for metric in METRICS if f"`{metric.name}`" not in OPERATIONS} == set()
    assert set(re.findall(r"`(itly\.(?:events|queue|lane|breaker|spool)\.\w+)`", OPERATIONS)) == {
        metric.name for metric in METRICS
    }


def messages() -> list[str]:
    """What delivery may say: the fixed parts of each message, joined."""
    found = []
    for path in sorted((ROOT / "itly_core" / "delivery").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                is_log = ast.unparse(node.func.value) in ("self._log", "log")
                if is_log and node.func.attr in ("info", "warn", "error", "error_once", "exception"):
                    parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else [node.args[0]]
                    fixed = [part.value for part in parts if isinstance(part, ast.Constant)]
                    found.append("\0".join(str(text).strip() for text in fixed))
    return found


@pytest.mark.parametrize("message", messages())
def test_every_message_is_explained(message: str) -> None:
    missing = [part for part in message.split("\0") if len(part) > 6 and part.strip("./ ") not in OPERATIONS]

    assert not missing


def test_every_reason_is_explained() -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "itly_core").rglob("*.py"))
    reasons = set(re.findall(r"""(?:refuse|drop|Dropped|Dead)\(["'](\w+)["']""", sources)) - {"unreadable"}

    assert {"recursion", "expired", "too_large"} <= reasons
    assert {reason for reason in reasons if f"`{reason}`" not in OPERATIONS} == set()


def test_the_reasons_of_the_page_are_those_of_the_settings_page() -> None:
    settings = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for reason in ("privacy", "consent", "bot", "excluded_path"):
        assert f"`{reason}`" in OPERATIONS
        assert f"`{reason}`" in settings
