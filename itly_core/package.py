"""A generated package at run time: its plan, its public functions, and which client answers a call.

Generated code holds one Package and hands everything to it.
"""

from __future__ import annotations

import importlib
import inspect
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .call import EventOptions
from .client import Client, Delivery, Event, Scope
from .delivery import start_delivery
from .errors import AlreadyLoaded, NotLoaded
from .log import Log
from .options import Options
from .plan import UNSET, Plan

__all__ = ["UNSET", "Package", "given"]


def given(properties: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that were given, by wire name."""
    return {key: value for key, value in (*properties.items(), *extra.items()) if value is not UNSET}


def event_class(cls: str, module: str, function: Callable[..., None], name: str, renamed: Mapping[str, str]) -> type:
    """A class with the arguments of an event's function, which keeps them as a value for `track`.

    renamed: argument -> property, where the two differ.
    """
    parameters = inspect.signature(function).parameters.values()
    own = [each for each in parameters if each.kind is each.KEYWORD_ONLY and each.name != "options"]
    rest = [each for each in parameters if each.kind is each.VAR_KEYWORD]
    properties = [(each.name, renamed.get(each.name, each.name)) for each in own]

    def __init__(self: Event, /, **extra: Any) -> None:
        Event.__init__(self, name, given({wire: extra.pop(key, UNSET) for key, wire in properties}, extra))

    itself = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    __init__.__signature__ = inspect.Signature([itself, *own, *rest])  # type: ignore[attr-defined]
    says = (function.__doc__ or "").partition("\n")[0]
    return type(
        cls,
        (Event,),
        {
            "__module__": module,
            "__doc__": f"{says}\n\nThe same as a call of `{function.__name__}`, as a value for `track`.",
            "__slots__": (),
            "__init__": __init__,
        },
    )


class Disabled:
    """Answers for a client when everything is switched off: does nothing, says everything went well."""

    def __init__(self) -> None:
        self.is_closed = False

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return _do_nothing

    def shutdown(self, timeout_s: float | None = None) -> bool:
        """Another `load` may follow."""
        self.is_closed = True
        return True

    def stats(self) -> dict[str, dict[str, Any]]:
        return {}


def _do_nothing(*arguments: Any, **named: Any) -> bool:
    return True


class Package:
    """What a generated package hands its calls to.

    resolver: asked on every call for the client of the current application, where one process runs several; None, or an
    answer of None, means the loaded client.
    events: event class -> the event's function, its name, and those arguments that are called otherwise than the property.
    """

    def __init__(self, file: str, name: str = "itly") -> None:
        self.directory = Path(file).parent
        self.name = name
        self.events: Mapping[str, tuple[Callable[..., None], str, Mapping[str, str]]] = {}
        self._classes: dict[str, type] = {}
        self.resolver: Callable[[], Client | Disabled | None] | None = None
        self._client: Client | Disabled | None = None
        self._plan: Plan | None = None
        self._lock = threading.Lock()

    @property
    def plan(self) -> Plan:
        """Read at the first use: importing the package costs nothing."""
        if self._plan is None:
            self._plan = Plan.read(self.directory)
        return self._plan

    def event_class(self, name: str) -> type:
        """The module's `__getattr__`. A class is made at its first use: those of a large plan would take most of the time
        that importing it takes, and a process uses few of them."""
        found = self._classes.get(name)
        if found is None:
            if name not in self.events:
                module = sys.modules.get(self.name)
                raise AttributeError(f"module {self.name!r} has no attribute {name!r}", name=name, obj=module)
            found = self._classes.setdefault(name, event_class(name, self.name, *self.events[name]))
        return found

    def load(self, options: Options | None = None) -> None:
        """Make the client every call goes to.

        Raises:
            AlreadyLoaded: it was made before, here or by a framework's integration, and not shut down.
            ConfigError, PlanError: the options or the package cannot be used.
            InvalidEvent: the context breaks the plan, in development.
        """
        with self._lock:
            if self._is_answered():
                raise AlreadyLoaded
            self._client = self.start(options or Options())

    def start(
        self,
        options: Options,
        *,
        scope: Callable[[], Scope | None] = lambda: None,
        delivery: Delivery | None = None,
    ) -> Client | Disabled:
        """A client for this package, which nothing refers to yet. Opens no file, socket or thread."""
        if options.disabled:
            return Disabled()
        log = Log(options.logger)
        chosen = delivery if delivery is not None else start_delivery(self.plan.info, options, log)
        return Client(self.plan, options, chosen, log, scope=scope)

    def install(self, client: Client | Disabled) -> None:
        """Have a started client answer the calls."""
        with self._lock:
            self._client = client

    def uninstall(self) -> None:
        """Back to nothing loaded."""
        with self._lock:
            self._client = None

    @property
    def is_loaded(self) -> bool:
        """Whether a client is installed, be it by `load` or by a framework."""
        return self._client is not None

    @contextmanager
    def replaced(self, client: Client | Disabled) -> Iterator[None]:
        """Have this client answer every call for a while, whoever answered before."""
        before = self._client, self.resolver
        self._client, self.resolver = client, None
        try:
            yield
        finally:
            self._client, self.resolver = before

    def client(self) -> Client | Disabled:
        """The client that answers now.

        Raises:
            NotLoaded: there is none.
        """
        if self.resolver is not None:
            found = self.resolver()
            if found is not None:
                return found
        if self._client is None:
            raise NotLoaded
        return self._client

    def _is_answered(self) -> bool:
        """Whether a client answers calls and is not shut down."""
        try:
            return not self.client().is_closed
        except NotLoaded:
            return False

    def event(
        self,
        name: str,
        user_id: str | None,
        properties: Mapping[str, Any],
        extra: Mapping[str, Any],
        options: EventOptions | None,
    ) -> None:
        self.client().event(name, user_id, properties, extra, options)

    def track(
        self, user_id: str | None = None, event: Event | None = None, *, options: EventOptions | None = None
    ) -> None:
        """Track an event object. In a request the user id may be left out: `track(event=...)`."""
        if event is None and isinstance(user_id, Event):  # track(event) inside a request
            user_id, event = None, user_id
        if event is None:
            raise TypeError("track() needs an event: itly.track(user_id, itly.Event(name, properties))")
        self.client().event(event.name, user_id, event.properties, {}, options)

    def identify(
        self,
        user_id: str | None,
        traits: Mapping[str, Any],
        extra: Mapping[str, Any],
        options: EventOptions | None,
    ) -> None:
        self.client().identify(user_id, traits, extra, options)

    def group(
        self,
        user_id: str | None,
        group_id: str | None,
        traits: Mapping[str, Any],
        extra: Mapping[str, Any],
        options: EventOptions | None,
    ) -> None:
        self.client().group(user_id, group_id, traits, extra, options)

    def page(
        self,
        user_id: str | None,
        category: str | None,
        name: str | None,
        properties: Mapping[str, Any],
        extra: Mapping[str, Any],
        options: EventOptions | None,
    ) -> None:
        self.client().page(user_id, category, name, properties, extra, options)

    def alias(
        self, user_id: str | None = None, previous_id: str | None = None, *, options: EventOptions | None = None
    ) -> None:
        """Say that two ids are one user."""
        self.client().alias(user_id, previous_id, options)

    def flush(self, timeout: float = 10.0) -> bool:
        """Deliver what is accepted by now; whether all of it was within that many seconds."""
        return self.client().flush(timeout)

    def shutdown(self, timeout: float | None = None) -> bool:
        """Accept nothing more and deliver what is accepted, within `shutdown_timeout` seconds unless told otherwise."""
        return self.client().shutdown(timeout)

    def stats(self) -> dict[str, dict[str, Any]]:
        """The balance of each destination: accepted = delivered + dead + dropped + parked + queued + in_flight."""
        return self.client().stats()


def find_package(name: str) -> Package | None:
    """The generated package of that name; None when there is none, or when something else has the name.

    Raises: whatever importing it raises.
    """
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as exc:
        if exc.name is not None and (name == exc.name or name.startswith(f"{exc.name}.")):
            return None
        raise
    package = getattr(module, "_package", None)
    return package if isinstance(package, Package) else None
