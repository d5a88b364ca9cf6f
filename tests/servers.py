"""Real servers and workers in real processes, for tests: started, awaited, stopped."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

_OF_THE_RUN = ("PYTEST_", "DJANGO_", "FLASK_", "ITLY")  # variables that tests set for themselves
P = TypeVar("P", bound="Process")
STARTED = re.compile(r"(?:Listening at:|Running on|running on|server at|TCP address) (?:http://)?(127\.0\.0\.1:\d+)")


class Process:
    """A process and what it prints.

    command: as for `python -m`, or one that begins with the path of a program. env: laid over this process's environment, without what pytest puts there (what is started
    is no test).
    """

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_THE_RUN)}
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._process = subprocess.Popen(
            command if Path(command[0]).is_absolute() else [sys.executable, "-m", *command],
            cwd=cwd,
            env={**kept, "PYTHONUNBUFFERED": "1", **(env or {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self: P) -> P:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        """What it printed so far."""
        with self._changed:
            return "".join(self._lines)

    def wait_for_line(self, pattern: str | re.Pattern[str], timeout_s: float = 20.0) -> re.Match[str]:
        """The first match in its output, as soon as it is there.

        Raises:
            TimeoutError: it did not come, or the process ended without it; shows the output.
        """
        return self.wait_for_lines(pattern, 1, timeout_s)[0]

    def wait_for_lines(
        self, pattern: str | re.Pattern[str], count: int, timeout_s: float = 20.0
    ) -> list[re.Match[str]]:
        """The same for that many lines."""
        found: list[re.Match[str]] = []

        def are_there() -> bool:
            found[:] = [match for line in self._lines if (match := re.search(pattern, line))]
            return len(found) >= count or self._ended()

        with self._changed:
            self._changed.wait_for(are_there, timeout_s)
            if len(found) < count:
                raise TimeoutError(f"{len(found)} of {count} lines like {pattern!r} in:\n{''.join(self._lines)}")
        return found

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_s: float = 30.0) -> int:
        """Its exit status, when it has ended by itself.

        Raises:
            TimeoutError: it did not in time; shows the output.
        """
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"it did not end:\n{self.output}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM, timeout_s: float = 45.0) -> int:
        """Ends it, and returns its exit status; kills the whole group if it does not end in time."""
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            return self._process.wait(timeout_s)
        finally:
            self._reader.join(timeout_s)
            if self._process.stdout is not None:
                self._process.stdout.close()

    def kill(self) -> None:
        """SIGKILL to it and all its workers at once, as when the machine's memory runs out."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self.stop()

    def _ended(self) -> bool:
        return self._process.poll() is not None and not self._reader.is_alive()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        self._process.wait()
        with self._changed:
            self._lines.append("")
            self._changed.notify_all()


class Server(Process):
    """A web server. Known by the line in which it says where it listens."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str] | None = None) -> None:
        super().__init__(command, cwd=cwd, env=env)
        try:
            self.url = f"http://{self.wait_for_line(STARTED).group(1)}"
        except BaseException:
            self.stop()
            raise
