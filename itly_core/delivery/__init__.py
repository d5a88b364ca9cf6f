"""All threads, files, sockets, fork and exit handling. Everything else only decides.

A line of JSON is accepted, and from then on it is somebody's duty: queued, in flight, parked, or finally delivered, dead
or dropped, and counted at every step.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..destinations.console import ConsoleOptions
from ..log import Log
from ..options import Options
from .memory import MemoryDelivery
from .sender import AdapterSender, HttpSender, Sender

__all__ = ["MemoryDelivery", "start_delivery"]


def start_delivery(plan: Mapping[str, str], options: Options, log: Log) -> MemoryDelivery:
    """The delivery these options ask for. Opens no file, socket or thread yet.

    Raises:
        ConfigError: a destination has no key for this environment.
    """
    enabled = options.destinations.enabled()
    if not enabled and options.is_development and not options.destinations.all.disabled:
        enabled = {"console": ConsoleOptions()}
    built = {name: chosen.build(plan, options.environment.value) for name, chosen in enabled.items()}

    def senders() -> dict[str, Sender]:
        return {name: _sender(name, destination, options, log) for name, destination in built.items()}

    return MemoryDelivery(senders, options.delivery, log)


def _sender(name: str, destination: Any, options: Options, log: Log) -> Sender:
    if hasattr(destination, "send"):
        return AdapterSender(destination, lambda text: log.error_once(f"{name}: {text}; the call is tried again"))
    return HttpSender(destination, options.delivery.timeout)
