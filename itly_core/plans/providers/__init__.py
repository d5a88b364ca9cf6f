"""The table of plan formats. A provider is one file with a pure `parse`, and one row here.

A format is recognised by asking them in this order; `schemas`, which takes the most, comes last. Other distributions add
theirs under the entry point group `itly.plan_providers`: a name, and the `Provider` it leads to.
"""

from __future__ import annotations

import functools
from importlib.metadata import entry_points

from ...errors import ConfigError
from . import amplitude, avo, iglu, iteratively, itly, rudder_cli, rudderstack, schemas, segment, table
from .provider import Api, Provider, basic, bearer

__all__ = ["GROUP", "PROVIDERS", "Api", "Provider", "basic", "bearer", "providers"]

GROUP = "itly.plan_providers"
PROVIDERS: dict[str, Provider] = {
    provider.name: provider
    for provider in (
        Provider("itly", itly.recognises, itly.parse),
        Provider("iteratively", iteratively.recognises, iteratively.parse),
        Provider(
            "amplitude",
            amplitude.recognises,
            amplitude.parse,
            Api(
                fetch=amplitude.fetch,
                regions={"us": "https://amplitude.com/api/2", "eu": "https://analytics.eu.amplitude.com/api/2"},
                hosts=("amplitude.com",),
                token_env="AMPLITUDE_TOKEN",  # noqa: S106  # a name
                headers=basic,
                keys=frozenset({"group_type"}),
                needs_plan=False,
            ),
        ),
        Provider("csv", table.recognises, table.parse),
        Provider(
            "segment",
            segment.recognises,
            segment.parse,
            Api(
                fetch=segment.fetch,
                regions={"us": "https://api.segmentapis.com", "eu": "https://eu1.api.segmentapis.com"},
                hosts=("segmentapis.com",),
                token_env="SEGMENT_TOKEN",  # noqa: S106  # a name
            ),
        ),
        Provider(
            "rudderstack",
            rudderstack.recognises,
            rudderstack.parse,
            Api(
                fetch=rudderstack.fetch,
                regions={"us": "https://api.rudderstack.com/v2", "eu": "https://api.eu.rudderstack.com/v2"},
                hosts=("rudderstack.com",),
                token_env="RUDDERSTACK_TOKEN",  # noqa: S106  # a name
            ),
        ),
        Provider("rudder-cli", rudder_cli.recognises, rudder_cli.parse),
        Provider(
            "avo",
            avo.recognises,
            avo.parse,
            Api(
                fetch=avo.fetch,
                regions={"us": "https://api.avo.app"},
                hosts=("avo.app",),
                token_env="AVO_TOKEN",  # noqa: S106  # a name
                headers=basic,
                keys=frozenset({"branch"}),
            ),
        ),
        Provider(
            "iglu",
            iglu.recognises,
            iglu.parse,
            Api(
                fetch=iglu.fetch,
                regions={},
                hosts=(),
                token_env="IGLU_TOKEN",  # noqa: S106  # a name
                headers=iglu.headers,
                needs_token=False,
            ),
        ),
        Provider("schemas", schemas.recognises, schemas.parse),
    )
}


@functools.cache
def providers() -> dict[str, Provider]:
    """Ours and those of other distributions, in the order in which they are asked.

    Raises:
        ConfigError: another distribution's cannot be loaded, is no provider, or takes a name of ours.
    """
    found = dict(PROVIDERS)
    last = found.popitem()
    for entry in entry_points(group=GROUP):
        origin = f"the plan provider {entry.name!r} of {entry.dist.name if entry.dist else 'an entry point'}"
        try:
            provider = entry.load()
        except Exception as exc:  # whatever importing somebody's module raises
            raise ConfigError(f"{origin} cannot be loaded: {type(exc).__name__}: {exc}", key=entry.name) from exc
        if not isinstance(provider, Provider) or provider.name != entry.name:
            raise ConfigError(f"{origin} is not a Provider of that name", key=entry.name)
        if provider.name in PROVIDERS or provider.name in found:
            raise ConfigError(f"{origin} has a name that is taken", key=entry.name)
        found[provider.name] = provider
    return dict([*found.items(), last])
