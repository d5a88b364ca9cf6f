"""What the library tells anyone who listens: blinker signals.

`call_accepted` and `event_invalid` are sent by the client in the thread of the call; the other three by the lane of a
destination in its own thread, whatever client the calls came from. A receiver that raises is logged and reaches neither
the caller nor the next receiver. Building the argument costs something, so nothing is built while nobody listens.
"""

from __future__ import annotations

from typing import Any

from blinker import Namespace

from .log import Log

_namespace = Namespace()

call_accepted = _namespace.signal("call-accepted", doc="A call is stored for delivery. call: Call.")
event_invalid = _namespace.signal(
    "event-invalid", doc="A call breaks the plan. call: Call; violations: tuple[Violation]."
)
batch_delivered = _namespace.signal(
    "batch-delivered", doc="A destination took calls. destination: str; calls: list[Call]."
)
batch_failed = _namespace.signal(
    "batch-failed", doc="A batch was not taken, and will be tried again. destination: str; reason: str; count: int."
)
call_dropped = _namespace.signal(
    "call-dropped", doc="A call will not be delivered. destination: str; call: Call; reason: str; dead: bool."
)


def send_guarded(signal: Any, sender: object, log: Log, **what: Any) -> None:
    """Send to every receiver; one that raises is logged and stops nobody."""
    for receiver in signal.receivers_for(sender):
        try:
            receiver(sender, **what)
        except Exception as exc:  # the receiver is the user's code
            log.exception(f"a receiver of the signal {signal.name} raised", exc)
