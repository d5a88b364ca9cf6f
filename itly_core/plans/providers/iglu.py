"""Snowplow's Iglu: self-describing schemas from a registry, a server, or a directory in the registry's layout.

`{root}/schemas/{vendor}/{name}/jsonschema/{model-revision-addition}`; an Iglu Server (whose root ends in `/api`) also
lists what it has under `{root}/schemas`. https://docs.snowplow.io/docs/api-reference/iglu/
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigError, PullError
from ..document import Plan
from ..raw import Raw
from ..server import Server, step
from ..syntax import Part
from . import schemas
from .assembly import Entry, assembled, rank, section, text, words


def headers(token: str) -> Mapping[str, str]:
    return {"apikey": token}


def fetch(server: Server, table: Mapping[str, str]) -> list[Raw]:
    """The schemas that `plan` names: `iglu:vendor/name/jsonschema/1-0-0`, several of them, or a vendor for all it has."""
    wanted: dict[str, None] = {}
    for name in words(re.sub(r"\s", ",", table["plan"])):
        steps = name.removeprefix("iglu:").split("/")
        if len(steps) == 4:
            wanted["/".join(steps)] = None
        elif len(steps) == 1:
            wanted.update(dict.fromkeys(_of_vendor(server, steps[0])))
        else:
            raise ConfigError(f"{name!r} is neither a vendor nor a schema such as iglu:com.acme/order/jsonschema/1-0-0")
    raws = []
    for number, path in enumerate(wanted, 1):
        raws.append(server.raw(path, "/schemas/" + "/".join(step(one) for one in path.split("/"))))
        server.watch("schemas", number, len(wanted))
    return raws


def _of_vendor(server: Server, vendor: str) -> list[str]:
    """The newest version of each of a vendor's schemas."""
    listed = server.json("/schemas", missing=True)
    if listed is None:
        raise PullError(
            f"the registry has no list of its schemas, as a static one never has: name those of {vendor} in `plan`, "
            "as iglu:vendor/name/jsonschema/1-0-0"
        )
    newest: dict[str, str] = {}
    for entry in listed if isinstance(listed, list) else ():
        address = entry if isinstance(entry, str) else _address(entry)
        steps = address.removeprefix("iglu:").split("/")
        if len(steps) == 4 and steps[0] == vendor:
            known = newest.get(steps[1])
            if known is None or rank(steps[3]) > rank(known.rpartition("/")[2]):
                newest[steps[1]] = "/".join(steps)
    if not newest:
        raise PullError(f"the registry lists no schema of {vendor}")
    return sorted(newest.values())


def _address(schema: Any) -> str:
    """What a self-describing schema is called; empty for any other."""
    about = schema.get("self") if isinstance(schema, dict) else None
    if not isinstance(about, dict):
        return ""
    steps = [text(about.get(key)) for key in ("vendor", "name", "format", "version")]
    return "iglu:" + "/".join(steps) if all(steps) else ""


def recognises(raws: Sequence[Raw]) -> bool:
    return schemas.recognises(raws) and all(_address(part.value) for _, _, part in schemas.entries(raws))


def parse(raws: Sequence[Raw]) -> Plan:
    """
    Raises:
        PlanError: a schema cannot be used, or two of different vendors have one name.
    """
    entries = [_of_schema(part) for _, _, part in schemas.entries(raws)]
    vendors = {entry.section.origin["id"].split("/")[0].removeprefix("iglu:") for entry in entries}
    return assembled("iglu", entries, name=vendors.pop() if len(vendors) == 1 else "")


def _of_schema(part: Part) -> Entry:
    address = _address(part.value)
    if not address:
        raise part.error("does not describe itself: it has no `self` with vendor, name, format and version")
    about = part.value["self"]
    made = section(
        about["name"],
        {key: value for key, value in part.value.items() if key not in ("self", "description")},
        part,
        description=text(part.value.get("description")),
        version=about["version"].replace("-", "."),
        origin={"id": address},
    )
    return Entry("track", made, part)
