"""Where the library speaks: the user's logger, guarded, and never twice the same thing in a minute."""

from __future__ import annotations

import sys
import time
import traceback
from typing import Protocol

from .encoding import one_line

QUIET_S = 60.0  # one line a minute tells as much as a thousand
_REMEMBERED = 1000  # messages; beyond it the oldest may be said again


class Logger(Protocol):
    """As `ItlyLogger` in options.py."""

    def debug(self, message: str) -> None: ...

    def info(self, message: str) -> None: ...

    def warn(self, message: str) -> None: ...

    def error(self, message: str) -> None: ...


class StdoutLogger:
    """Prints all but debug messages to standard output."""

    def debug(self, message: str) -> None:
        pass

    def info(self, message: str) -> None:
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        readable = message.encode(encoding, "backslashreplace").decode(encoding)  # not every terminal speaks UTF-8
        sys.stdout.write(f"[itly] {readable}\n")  # one write, where print makes two: others may write in between
        sys.stdout.flush()

    warn = error = info


class Log:
    """A logger that cannot hurt: one that raises is ignored, one that floods is held back."""

    def __init__(self, logger: Logger | None = None) -> None:
        self._logger: Logger = logger if logger is not None else StdoutLogger()
        self._said: dict[str, float] = {}

    def debug(self, message: str) -> None:
        self._say("debug", message)

    def info(self, message: str) -> None:
        self._say("info", message)

    def warn(self, message: str) -> None:
        self._say("warn", message)

    def error(self, message: str) -> None:
        self._say("error", message)

    def error_once(self, message: str) -> None:
        """Say it, unless it was said within the last minute."""
        now = time.monotonic()
        if now - self._said.get(message, -QUIET_S) < QUIET_S:
            return
        if len(self._said) >= _REMEMBERED:
            self._said.clear()
        self._said[message] = now
        self.error(message)

    def exception(self, message: str, exc: BaseException) -> None:
        """Say what went wrong, with the exception's text and where it came from."""
        frames = [*traceback.walk_tb(exc.__traceback__)]
        place = f" ({frames[-1][0].f_code.co_filename}:{frames[-1][1]})" if frames else ""
        try:
            text = f": {exc}"
        except Exception:  # noqa: BLE001  # the exception is the user's own
            text = ""
        self.error_once(f"{message}: {type(exc).__name__}{text}{place}")

    def _say(self, level: str, message: str) -> None:
        try:
            getattr(self._logger, level)(one_line(message))
        except Exception:  # noqa: BLE001  # a logger that raises must not become the caller's problem
            pass
