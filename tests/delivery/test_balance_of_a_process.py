"""A process's own balance when nothing of its calls is in the spool any more."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from itly_core.call import Call, encode_call
from itly_core.delivery import start_delivery
from itly_core.delivery.shipper import Shipper
from itly_core.delivery.spool import is_process_alive
from itly_core.log import Log
from itly_core.options import CustomOptions, DeliveryOptions, DestinationsOptions, Options


class Adapter:
    def track(self, user_id: str, event_name: str, properties: dict[str, object]) -> None: ...


def test_it_is_the_same_after_shutdown(tmp_path: Path) -> None:
    options = Options(
        destinations=DestinationsOptions(custom=CustomOptions(adapter=Adapter())),
        delivery=DeliveryOptions(mode="spool", spool_dir=tmp_path, shutdown_timeout=10.0),
    )
    delivery = start_delivery({"name": "Shop"}, options, Log())
    call = Call(kind="track", name="Seen", message_id="1", timestamp=datetime.now(timezone.utc), user_id="user-1")
    delivery.accept(encode_call(call))
    assert delivery.flush(10.0)
    before = delivery.stats()
    assert delivery.shutdown(10.0)

    assert list(tmp_path.glob("*.ndjson")) == []
    assert delivery.stats() == before
    assert before["custom"]["delivered"] == 1


def test_writers_of_dead_processes_are_counted_together(tmp_path: Path) -> None:
    options = DeliveryOptions(spool_dir=tmp_path)
    shipper = Shipper(tmp_path, {}, options, Log(), lambda: None)
    with shipper.state.transaction() as db:
        for writer in ("999999991-aa", "999999992-bb", "1-cc"):
            db.execute("INSERT INTO tally VALUES (?, 'custom', 'delivered', '', 2)", (writer,))
    shipper.state.fold(lambda writer: not is_process_alive(writer))

    tallies = sorted(shipper.state.tallies("")), sorted(shipper.state.tallies("1-cc"))
    shipper.stop(1.0)
    assert tallies == ([("custom", "delivered", "", 4)], [("custom", "delivered", "", 2)])
