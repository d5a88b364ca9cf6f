"""A program that accepts calls into a spool, and says each id once its call has returned.

python accepting.py SPOOL URL FIRST COUNT [ENDING]: COUNT 0 is for ever. ENDING: what happens after the last call (flush,
exit, fork, hang, tell), by default exit. It says things with `writev`, so that whoever makes `write` fail hits the spool.
"""

from __future__ import annotations

import os
import signal
import sys

from itly_core.call import EventOptions
from itly_core.client import Client
from itly_core.delivery import start_delivery
from itly_core.log import Log
from itly_core.options import AmplitudeOptions, DeliveryOptions, DestinationsOptions, Options, ValidationOptions
from itly_core.plan import Plan


class Quiet:
    def debug(self, message: str) -> None:
        pass

    info = warn = debug

    def error(self, message: str) -> None:
        print(message, file=sys.stderr, flush=True)


def make_client(spool: str, url: str) -> Client:
    options = Options(
        environment="production",  # type: ignore[arg-type]  # its value will do
        delivery=DeliveryOptions(mode="spool", spool_dir=spool, flush_interval=0.1, timeout=5.0),
        destinations=DestinationsOptions(amplitude=AmplitudeOptions(api_key="k", endpoint=url)),
        validation=ValidationOptions(disabled=True),
        logger=Quiet(),
    )
    log = Log(options.logger)
    return Client(Plan(), options, start_delivery({}, options, log), log)


def accept(client: Client, message_id: str) -> None:
    client.event("Seen", "user-1", {}, {}, EventOptions(message_id=message_id))
    say(message_id)


def say(line: str) -> None:
    os.writev(1, [f"{line}\n".encode()])  # at once: a reader never sees half an id of a call that returned


def main() -> None:
    spool, url, first, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    ending = sys.argv[5] if len(sys.argv) > 5 else "exit"
    client = make_client(spool, url)
    done = 0
    while not count or done < count:
        accept(client, f"{first}-{done}")
        done += 1
    if ending == "flush":
        sys.exit(0 if client.flush(600.0) else 1)
    if ending == "fork":
        child = os.fork()
        for n in range(3):
            accept(client, f"{first}-{'child' if not child else 'parent'}-{n}")
        if not child:
            os._exit(0)  # no exit handler runs: what it accepted is in its file
        os.waitpid(child, 0)
        sys.exit(0 if client.flush(600.0) else 1)
    if ending == "idle-child":
        child = os.fork()
        if not child:
            signal.pause()  # never calls anything
        say(f"child {child}")
        signal.pause()
    if ending == "tell":
        client.flush(20.0)
        say(f"dropped {client.stats()['amplitude']['dropped']}")
    if ending == "hang":
        say("hangs")
        signal.pause()


if __name__ == "__main__":
    main()
