"""The analytics engine behind a generated `itly` package: plans checked, calls stored, vendors reached."""

from .call import Call, EventOptions
from .client import Event
from .errors import (
    AlreadyLoaded,
    Closed,
    ConfigError,
    InvalidEvent,
    ItlyError,
    NotLoaded,
    PlanError,
    PullError,
    Violation,
)
from .options import (
    AllOptions,
    AmplitudeOptions,
    ConsoleOptions,
    CustomOptions,
    DeliveryOptions,
    DestinationsOptions,
    Environment,
    ItlyLogger,
    Options,
    SegmentOptions,
    ValidationOptions,
)
from .version import VERSION as __version__

__all__ = [
    "AllOptions",
    "AlreadyLoaded",
    "AmplitudeOptions",
    "Call",
    "Closed",
    "ConfigError",
    "ConsoleOptions",
    "CustomOptions",
    "DeliveryOptions",
    "DestinationsOptions",
    "Environment",
    "Event",
    "EventOptions",
    "InvalidEvent",
    "ItlyError",
    "ItlyLogger",
    "NotLoaded",
    "Options",
    "PlanError",
    "PullError",
    "SegmentOptions",
    "ValidationOptions",
    "Violation",
    "__version__",
]
