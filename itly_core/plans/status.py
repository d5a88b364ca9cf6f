"""How a project's code uses its plan: what is implemented, what is missing, what is wrong with the calls."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..codegen.names import camel
from ..codegen.render import CALLER, EXPORTED, FUNCTIONS, Kind
from ..errors import PlanError
from ..plan import PLAN_FILE
from ..plan import Plan as RunTimePlan
from ..project import Project
from ..suggest import unknown
from .code.arguments import Callee
from .code.files import python_files
from .code.names import Code, Package, Use, nearest

FindingKind = Literal["unknown", "removed", "bad", "deprecated", "missing", "unreadable"]
KINDS: tuple[FindingKind, ...] = ("unknown", "removed", "bad", "deprecated", "missing", "unreadable")


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a name of the package is used. role: `call`, `value` (passed on, given another name) or `annotation`."""

    file: str
    line: int
    column: int
    role: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong or worth knowing. line: 0 where it is about no line. event: empty where it is about none."""

    kind: FindingKind
    message: str
    event: str = ""
    file: str = ""
    line: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}: " if self.line else f"{self.file}: " if self.file else ""
        return f"{place}{self.kind}: {self.message}"


@dataclass(frozen=True, kw_only=True)
class EventStatus:
    """An event, and where the code sends it. status: the plan's."""

    name: str
    function: str
    status: str
    places: tuple[Place, ...] = ()

    @property
    def is_implemented(self) -> bool:
        return any(place.role != "annotation" for place in self.places)


@dataclass(frozen=True, kw_only=True)
class Status:
    """How the code uses one package. calls: of identify, group, page and alias. files: how many were looked through."""

    path: Path
    plan: str
    version: str
    files: int
    events: tuple[EventStatus, ...]
    calls: Mapping[str, tuple[Place, ...]]
    findings: tuple[Finding, ...]


def statuses(project: Project, places: Sequence[Path] = (), excluded: Sequence[str] = ()) -> list[Status]:
    """How the code at some places uses the project's package, and other packages that lie there.

    A file belongs to the package in the nearest directory above it, else to the project's, if that is there. places: files and directories;
    none: the project's directory. excluded: patterns of files to leave out.

    Raises:
        ConfigError: a place is not there.
        PlanError: there is no package yet, or one cannot be read.
    """
    files, below = python_files(places or [project.base], excluded)
    own = project.installed_path().resolve()
    here = [_Loaded.read(directory, _steps(directory)) for directory in below if directory != own]
    if (own / PLAN_FILE).is_file() or not here:
        here.insert(0, _Loaded.read(own, tuple(project.package.split("."))))
    packages = [loaded.package for loaded in here]
    of_others = packages[0] if packages[0].directory == own else None
    owners = {file: nearest(file, packages) or of_others for file in files}
    return [loaded.status([file for file in files if owners[file] == loaded.package]) for loaded in here]


def _steps(directory: Path) -> tuple[str, ...]:
    """The import name of a package that no settings name."""
    steps = [directory.name]
    for parent in directory.parents:
        if not (parent / "__init__.py").is_file():
            break
        steps.insert(0, parent.name)
    return tuple(steps)


# --- one package


@dataclass(frozen=True)
class _Loaded:
    """A generated package, by the names it has. owners: function or class -> event. removed: the same, of removed events."""

    package: Package
    plan: RunTimePlan
    document: Mapping[str, Any]
    owners: Mapping[str, str]
    removed: Mapping[str, str]
    callees: Mapping[str, Callee] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path, steps: tuple[str, ...]) -> _Loaded:
        """
        Raises:
            PlanError: it was not pulled yet, or cannot be read.
        """
        plan = RunTimePlan.read(directory)
        document = json.loads((directory / PLAN_FILE).read_bytes())
        try:
            events: Mapping[str, Any] = document["events"]
            owners = {event[key]: name for name, event in events.items() for key in ("function", "class")}
            gone = {function: name for name, function in (document.get("removed") or {}).items()}
            removed = {**gone, **{camel(function): name for function, name in gone.items()}}
            names = frozenset({*owners, *EXPORTED, *FUNCTIONS, *(["Context"] if document.get("context") else [])})
            callees = dict(_callees(document, plan))
        except (KeyError, TypeError, AttributeError) as exc:
            raise PlanError("is not what a pull wrote: pull again", location=str(directory / PLAN_FILE)) from exc
        return cls(Package(steps, directory, names), plan, document, owners, removed, callees)

    def status(self, files: Sequence[Path]) -> Status:
        code = Code(self.package, files)
        uses = list(code.uses())
        places: dict[str, list[Place]] = {name: [] for name in self.document["events"]}
        calls: dict[str, list[Place]] = {name: [] for name in ("identify", "group", "page", "alias")}
        findings: list[Finding] = []
        for use in uses:
            place = Place(file=_shown(use.file), line=use.line, column=use.column, role=use.role)
            event = self._event(use)
            if event in places:
                places[event].append(place)
            elif use.name in calls:
                calls[use.name].append(place)
            findings += self._findings(use, event)
        events = tuple(
            EventStatus(
                name=name,
                function=event["function"],
                status=event.get("status", "active"),
                places=tuple(places[name]),
            )
            for name, event in sorted(self.document["events"].items())
        )
        findings += [
            Finding(kind="missing", message=f"{event.name} is sent nowhere: itly.{event.function}", event=event.name)
            for event in events
            if event.status == "active" and not event.is_implemented
        ]
        findings += [
            Finding(kind="unreadable", message=why, file=_shown(file)) for file, why in sorted(code.unreadable.items())
        ]
        return Status(
            path=Path(_shown(self.package.directory)),
            plan=self.plan.name,
            version=self.plan.version,
            files=len(files),
            events=events,
            calls={name: tuple(found) for name, found in calls.items()},
            findings=tuple(findings),
        )

    def _event(self, use: Use) -> str:
        """The event that a use is of; empty where it is of none, or nobody can tell."""
        if use.name == "Event" and use.call is not None:
            return _event_name(use.call)
        return self.owners.get(use.name, "")

    def _findings(self, use: Use, event: str) -> Iterator[Finding]:
        file = _shown(use.file)

        def finding(kind: FindingKind, message: str, line: int = use.line, of: str = event) -> Finding:
            return Finding(kind=kind, message=message, event=of, file=file, line=line)

        events = self.document["events"]
        if use.name == "Event" and use.call is not None and event and event not in events:
            if event in self.removed.values():
                yield finding("removed", f"the event {event!r} was removed from the plan")
            else:
                yield finding("unknown", f"there is no event {event!r} in the plan; {unknown(event, events)}", of="")
            return
        if use.name not in self.package.names and use.certain and not use.name.startswith("_"):
            if use.name in self.removed:
                gone = self.removed[use.name]
                yield finding("removed", f"{use.name}: the event {gone!r} was removed from the plan", of=gone)
            else:
                is_class = use.name[:1].isupper()
                known = {name for name in self.package.names if name[:1].isupper() is is_class}
                yield finding("unknown", f"there is no {use.name!r} in the package; {_nearest(use.name, known)}")
            return
        if event in events and events[event].get("status") == "deprecated" and use.role != "annotation":
            yield finding("deprecated", f"{event} is deprecated in the plan")
        if use.call is not None:
            for node, message in self._problems(use, event, use.call):
                yield finding("bad", message, getattr(node, "lineno", use.line))

    def _problems(self, use: Use, event: str, call: ast.Call) -> Iterator[tuple[ast.AST, str]]:
        if use.name == "Event" and event:
            callee = self.callees[self.document["events"][event]["class"]]
            properties = _argument(call, 1, "properties")
            if properties is None:
                yield from callee.wrong(call, {}, is_whole=_is_plain(call))
            elif isinstance(properties, ast.Dict):
                given = {
                    key.value: value
                    for key, value in zip(properties.keys, properties.values, strict=True)
                    if isinstance(key, ast.Constant) and isinstance(key.value, str)
                }
                yield from callee.wrong(call, given, is_whole=len(given) == len(properties.keys))
        elif use.name in self.callees:
            yield from self.callees[use.name].problems(call)


def _callees(document: Mapping[str, Any], plan: RunTimePlan) -> Iterator[tuple[str, Callee]]:
    for name, event in document["events"].items():
        section, arguments = plan.events[name], event["arguments"]
        function, cls = event["function"], event["class"]
        yield function, Callee(function, section, arguments, CALLER[Kind.EVENT], frozenset({"options"}))
        yield cls, Callee(cls, section, arguments)
    for name, section in plan.sections.items():
        kind, arguments = Kind(name), document[name]["arguments"]
        if kind is Kind.CONTEXT:
            yield "Context", Callee("Context", section, arguments)
        else:
            yield name, Callee(name, section, arguments, CALLER[kind], frozenset({"options"}))


def _event_name(call: ast.Call) -> str:
    """The name in `Event("Order Placed", ...)`; empty where it is not written there."""
    node = _argument(call, 0, "name")
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def _argument(call: ast.Call, index: int, name: str) -> ast.expr | None:
    if len(call.args) > index:
        return call.args[index]
    return next((keyword.value for keyword in call.keywords if keyword.arg == name), None)


def _is_plain(call: ast.Call) -> bool:
    """Whether all that a call is given is written in it."""
    return not any(isinstance(one, ast.Starred) for one in call.args) and all(one.arg for one in call.keywords)


def _nearest(name: str, known: set[str]) -> str:
    near = unknown(name, known)
    return near if near.startswith("did you mean") else "pull again if the plan has it"


def _shown(path: Path) -> str:
    """Relative to the working directory, where the path is inside it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
