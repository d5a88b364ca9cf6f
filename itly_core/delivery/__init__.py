"""All threads, files, sockets, fork and exit handling. Everything else only decides.

A line of JSON is accepted, and from then on it is somebody's duty: queued, in flight, parked, or finally delivered, dead
or dropped, and counted at every step.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from ..destinations.console import ConsoleOptions
from ..errors import ConfigError
from ..log import Log
from ..options import Options
from .memory import MemoryDelivery
from .retry import PATIENCE, Patience
from .sender import AdapterSender, HttpSender, Sender
from .shipper import Senders, SpoolDelivery
from .spool import SpoolError, examine, prepare
from .worker import Worker

__all__ = [
    "MemoryDelivery",
    "SpoolDelivery",
    "SpoolError",
    "make_worker",
    "prepare",
    "start_delivery",
    "why_no_spool",
]


def start_delivery(
    plan: Mapping[str, str], options: Options, log: Log, patience: Patience = PATIENCE
) -> MemoryDelivery | SpoolOrMemory:
    """The delivery these options ask for. Opens no file, socket or thread yet. patience: how long failures are waited out.

    Raises:
        ConfigError: a destination has no key for this environment.
    """
    senders = _senders(plan, options, log, patience)
    if options.delivery.mode == "memory" or not senders():
        return MemoryDelivery(senders, options.delivery, log, patience)
    return SpoolOrMemory(plan.get("name", ""), senders, options, log, patience)


def why_no_spool(plan: Mapping[str, str], options: Options) -> str:
    """Why calls would be kept in memory although nobody asked for it; empty where the spool can be used. Writes nothing."""
    if options.delivery.mode == "memory":
        return ""
    try:
        examine(options.delivery.spool_path, plan.get("name", ""))
    except SpoolError as exc:
        return str(exc)
    return ""


def make_worker(plan: Mapping[str, str], options: Options, log: Log) -> Worker:
    """A worker for the spool that processes with these options write. Makes the directory a spool if it is none yet.

    Raises:
        ConfigError: there is nothing to ship, nowhere to, or the directory cannot be used.
    """
    if options.disabled:
        raise ConfigError("nothing is sent: itly is switched off by `disabled`", key="disabled")
    if options.delivery.mode == "memory":
        raise ConfigError(
            "there is no spool to ship from: delivery's mode is 'memory', where each process ships its own calls",
            key="mode",
        )
    senders = _senders(plan, options, log)
    if not senders():
        raise ConfigError("there is nowhere to ship to: name a destination in the settings", key="destinations")
    directory = options.delivery.spool_path
    try:
        prepare(directory, plan.get("name", ""))
    except SpoolError as exc:
        raise ConfigError(str(exc), key="spool_dir") from exc
    return Worker(directory, senders, options.delivery, log)


def _senders(plan: Mapping[str, str], options: Options, log: Log, patience: Patience = PATIENCE) -> Senders:
    """Makes a sender for each destination that is on; in development, where none is, one that prints.

    Raises:
        ConfigError: a destination has no key for this environment.
    """
    enabled = options.destinations.enabled()
    if not enabled and options.is_development and not options.destinations.all.disabled:
        enabled = {"console": ConsoleOptions()}
    built = {name: chosen.build(plan, options.environment.value) for name, chosen in enabled.items()}

    def senders() -> dict[str, Sender]:
        return {name: _sender(name, destination, options, log, patience) for name, destination in built.items()}

    return senders


def _sender(name: str, destination: Any, options: Options, log: Log, patience: Patience) -> Sender:
    if hasattr(destination, "send"):
        return AdapterSender(
            destination, lambda text: log.error_once(f"{name}: {text}; the call is tried again"), patience
        )
    return HttpSender(destination, options.delivery.timeout)


class SpoolOrMemory:
    """The spool where its directory can be used, else memory. Which, is found out at the first call: loading opens nothing."""

    def __init__(
        self,
        project: str,
        senders: Callable[[], Mapping[str, Sender]],
        options: Options,
        log: Log,
        patience: Patience = PATIENCE,
    ) -> None:
        self._project = project
        self._patience = patience
        self._senders = senders
        self._options = options.delivery
        self._log = log
        self._lock = threading.RLock()  # a signal handler may call while it is held
        self._chosen: MemoryDelivery | SpoolDelivery | None = None

    def accept(self, line: bytes) -> None:
        chosen = self._choose()
        # From now on there is nothing to choose: a call costs no step more.
        self.accept = chosen.accept  # type: ignore[method-assign]
        chosen.accept(line)

    def refuse(self, reason: str) -> None:
        self._choose().refuse(reason)

    def wake(self) -> None:
        if self._chosen is not None:
            self._chosen.wake()

    def flush(self, timeout_s: float) -> bool:
        return self._choose().flush(timeout_s)

    def shutdown(self, timeout_s: float) -> bool:
        return self._choose().shutdown(timeout_s)

    def stats(self) -> dict[str, dict[str, Any]]:
        return self._choose().stats()

    def after_fork(self) -> None:
        self._lock = threading.RLock()  # a thread that is not here may have been choosing
        if self._chosen is not None:
            self._chosen.after_fork()

    def _choose(self) -> MemoryDelivery | SpoolDelivery:
        with self._lock:
            if self._chosen is None:
                opened = self._open()
                self._chosen = self._chosen or opened  # a signal handler may have been quicker
            return self._chosen

    def _open(self) -> MemoryDelivery | SpoolDelivery:
        directory = self._options.spool_path
        try:
            prepare(directory, self._project)
            return SpoolDelivery(directory, self._project, self._senders, self._options, self._log, self._patience)
        except SpoolError as exc:
            said = self._log.error if self._options.mode == "spool" else self._log.warn
            said(f"no spool: {exc}. Calls are kept in memory, and those not delivered are lost with the process")
            return MemoryDelivery(self._senders, self._options, self._log, self._patience)
