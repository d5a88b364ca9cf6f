"""`make demo`: what it prints, what it leaves behind, how it ends."""

from __future__ import annotations

import importlib
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests

ROOT = Path(__file__).parents[2]
DEMO = [sys.executable, str(ROOT / "sample_projects" / "demo.py")]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """With what earlier runs and other projects may have left, and a directory of its own for temporary files."""
    return {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "COLUMNS": "200",
        "DJANGO_SETTINGS_MODULE": "no.such.module",
        "SHOP_DATA": "/nowhere",
        "SHOP_DEBUG": "1",
    }


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "sample_projects"))
    return importlib.import_module("demo")


def processes_with(text: str) -> list[str]:
    """Command lines of running processes that have this in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if text.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it is gone, or another user's
    return found


def test_without_a_terminal_it_shows_what_arrived_and_cleans_up(environ: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run(DEMO, env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=110)

    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line for line in done.stdout.splitlines() if "amplitude, segment" in line]
    assert len(rows) == 19
    assert re.search(r"Order Completed +\d \(ada\) +POST checkout/ +valid", done.stdout)
    assert re.search(r"Signed Out +\d \(grace\) +POST sign-out/ +valid", done.stdout)
    (broken,) = [row for row in rows if "valid" not in row]
    assert re.search(r"Coupon Entered +\d \(ada\) +POST basket/coupon/ +percent_off: wrong type", broken)
    assert len(re.findall(r"(?:amplitude|segment) +19 +19 +0 +0 +0 +0 +0", done.stdout)) == 2
    assert list(tmp_path.iterdir()) == []
    assert processes_with(str(tmp_path)) == []


def test_in_a_terminal_it_stays_until_interrupted(environ: dict[str, str], tmp_path: Path) -> None:
    with Terminal(environ) as terminal:
        url = terminal.wait_for(r"Try it by hand: (http://127\.0\.0\.1:\d+)").group(1)
        requests.get(f"{url}/products/music-book/", timeout=20)
        terminal.wait_for(r"Product Viewed  anonymous  GET products/<slug:slug>/  valid  amplitude, segment")
        terminal.type(b"\x03")  # Ctrl-C

        assert terminal.ended() == 0
    assert "Traceback" not in terminal.text
    assert processes_with(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


def test_told_to_stop_it_takes_its_processes_along(environ: dict[str, str], tmp_path: Path) -> None:
    with Terminal(environ) as terminal:
        terminal.wait_for(r"The shop is at")
        terminal.process.send_signal(signal.SIGTERM)

        assert terminal.ended() == 143
    assert processes_with(str(tmp_path)) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda messages: messages.pop(0), ["missing: Signed Up of ada"]),
        (lambda messages: messages[1]["context"].pop("itly"), ["flagged: [], and it should be"]),
        (lambda messages: messages[0].update(userId="2"), ["ada arrived as users"]),
    ],
    ids=["missing", "not flagged", "mixed users"],
)
def test_what_went_wrong_is_said(demo: ModuleType, change: Any, told: list[str]) -> None:
    context = {"userAgent": "ada"}
    messages = [
        {"type": "track", "event": "Signed Up", "userId": "1", "context": context},
        {"type": "track", "event": "Coupon Entered", "userId": "1", "context": {**context, "itly": {"valid": False}}},
    ]
    expected = Counter([("ada", "Signed Up"), ("ada", "Coupon Entered")])
    assert list(demo.problems(expected, messages)) == []

    change(messages)

    found = list(demo.problems(expected, messages))
    assert len(found) == len(told)
    assert all(text in problem for text, problem in zip(told, found, strict=True))


class Terminal:
    """The demo as a person starts it, with a terminal of its own."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self._changed = threading.Condition()
        self._read: list[bytes] = []
        self._is_over = False
        try:
            self.process = subprocess.Popen(
                ["setsid", "--ctty", *DEMO],  # the terminal is the session's own, so Ctrl-C is a signal
                env={**environ, "TERM": "dumb"},
                stdin=theirs,
                stdout=theirs,
                stderr=theirs,
            )
        finally:
            os.close(theirs)
        self._reader = threading.Thread(target=self._follow, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self._reader.join(10)
        os.close(self._ours)

    @property
    def text(self) -> str:
        return b"".join(self._read).decode()

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def ended(self) -> int:
        """Its exit status."""
        status = self.process.wait(60)
        self._reader.join(10)
        return status

    def wait_for(self, pattern: str, timeout_s: float = 90.0) -> re.Match[str]:
        with self._changed:
            self._changed.wait_for(lambda: re.search(pattern, self.text) or self._is_over, timeout_s)
            found = re.search(pattern, self.text)
        assert found, self.text
        return found

    def _follow(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 4096)
            except OSError:  # nobody holds the other end any more
                piece = b""
            with self._changed:
                self._read.append(piece)
                self._is_over = not piece
                self._changed.notify_all()
            if not piece:
                return
