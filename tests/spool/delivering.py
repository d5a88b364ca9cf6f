"""Delivery inside the test's own process: what is accepted, who takes it, and what was said about it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from itly_core.call import Call, encode_call
from itly_core.delivery import MemoryDelivery, SpoolOrMemory, start_delivery
from itly_core.delivery.sender import AdapterSender
from itly_core.delivery.shipper import Shipper
from itly_core.delivery.spool import SpoolWriter, prepare
from itly_core.delivery.state import State
from itly_core.log import Log
from itly_core.options import CustomOptions, DeliveryOptions, DestinationsOptions, Options

Delivering = MemoryDelivery | SpoolOrMemory


class Adapter:
    """Takes calls, unless told not to."""

    def __init__(self) -> None:
        self.is_down = False
        self.calls: list[Call] = []

    @property
    def ids(self) -> Counter[str]:
        return Counter(call.message_id for call in self.calls)

    def send(self, calls: Iterable[Call]) -> None:
        if self.is_down:
            raise ConnectionError("is down")
        self.calls += calls

    def flush(self) -> None: ...

    def shutdown(self) -> None: ...


class Said:
    """A logger that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def debug(self, message: str) -> None:
        self.lines.append(message)

    info = warn = error = debug

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)


def line_of(message_id: str, **more: Any) -> bytes:
    """A call, as it is accepted."""
    return encode_call(
        Call(
            kind="track",
            name="Seen",
            message_id=message_id,
            timestamp=datetime.now(timezone.utc),
            user_id="user-1",
            **more,
        )
    )


def start(
    directory: Path,
    adapter: Adapter,
    said: Said | None = None,
    *,
    project: str = "Shop",
    destinations: Mapping[str, Any] | None = None,
    **delivery: Any,
) -> Delivering:
    """Delivery as `load` makes it. destinations: beside the adapter."""
    options = Options(
        destinations=DestinationsOptions(custom=CustomOptions(adapter=adapter), **(destinations or {})),
        delivery=DeliveryOptions(**{"spool_dir": directory, "flush_interval": 0.05, **delivery}),
    )
    return start_delivery({"name": project}, options, Log(said or Said()))


def accept(delivery: Delivering, *ids: str) -> None:
    for message_id in ids:
        delivery.accept(line_of(message_id))


def ids_of(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number:04d}" for number in range(count)]


def write(directory: Path, ids: Iterable[str]) -> list[Path]:
    """The files of a process that accepted these calls and is gone. Made afresh by each use."""
    prepare(directory, "Shop")
    before = set(directory.glob("*.ndjson"))
    writer = SpoolWriter(directory, "os", 1 << 30, Log(Said()))
    for message_id in ids:
        assert writer.append(line_of(message_id)) is None
    writer.close()
    return sorted(set(directory.glob("*.ndjson")) - before)


def stored(directory: Path, message_id: str) -> bytes:
    """A call as it stands in a file. directory: for the spool that it takes to find out."""
    (file,) = write(directory, [message_id])
    return file.read_bytes()


def ship(directory: Path, *, said: Said | None = None, **adapters: Adapter) -> Counter[tuple[str, str]]:
    """Ship everything that is there, in this thread. {(destination, place): calls} of all that were ever settled."""
    log = Log(said or Said())
    senders = {name: AdapterSender(adapter, lambda text: None) for name, adapter in adapters.items()}
    shipper = Shipper(directory, senders, DeliveryOptions(), log, lambda: None)
    assert shipper.stop(30.0)
    state = State(directory, log, is_reader=True)
    try:
        counts: Counter[tuple[str, str]] = Counter()
        for destination, place, _, count in state.tallies():
            counts[destination, place] += count
        return counts
    finally:
        state.close()


def eventually(is_so: Callable[[], Any], timeout_s: float = 20.0) -> float:
    """Seconds until it was so."""
    began_s = time.monotonic()
    while not is_so():
        assert time.monotonic() - began_s < timeout_s, f"not so within {timeout_s} s"
        time.sleep(0.01)
    return time.monotonic() - began_s
