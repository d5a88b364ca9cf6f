"""A destination that a spool in use has not seen before."""

from __future__ import annotations

import io
from datetime import datetime, timezone
from pathlib import Path

from itly_core.call import Call, encode_call
from itly_core.delivery import start_delivery
from itly_core.log import Log
from itly_core.options import ConsoleOptions, CustomOptions, DeliveryOptions, DestinationsOptions, Options


class Adapter:
    def track(self, user_id: str, event_name: str, properties: dict[str, object]) -> None: ...


def deliver(spool: Path, destinations: DestinationsOptions, name: str) -> None:
    """One call, by a process that starts and ends."""
    options = Options(
        destinations=destinations, delivery=DeliveryOptions(mode="spool", spool_dir=spool, shutdown_timeout=10.0)
    )
    delivery = start_delivery({"name": "Shop"}, options, Log())
    delivery.accept(
        encode_call(
            Call(kind="track", name=name, message_id=name, timestamp=datetime.now(timezone.utc), user_id="user-1")
        )
    )
    assert delivery.shutdown(10.0)


def test_it_gets_the_calls_that_were_stored_for_it_before_anybody_shipped(tmp_path: Path) -> None:
    deliver(tmp_path / "spool", DestinationsOptions(custom=CustomOptions(adapter=Adapter())), "Before")
    printed = io.StringIO()

    deliver(tmp_path / "spool", DestinationsOptions(console=ConsoleOptions(stream=printed)), "After")

    assert printed.getvalue().splitlines() == ['itly track "After" user=user-1']
