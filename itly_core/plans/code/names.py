"""Which mentions in a project's code are of the generated package, through imports, aliases and re-exports.

No code is run or imported. What a name may be is a set: branches of a program may bind it differently.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .scopes import END, Binding, Mention, Position, Reader, Role, Scope, position

MAX_STEPS = 100  # from a name to what it stands for


@dataclass(frozen=True)
class Package:
    """A generated package. steps: its import name. directory: absolute. names: what it has."""

    steps: tuple[str, ...]
    directory: Path
    names: frozenset[str]

    @property
    def root(self) -> Path:
        """The directory it is imported from."""
        return self.directory.parents[len(self.steps) - 1]


@dataclass(frozen=True)
class Use:
    """A mention of a name of the package. certain: whether it can be nothing else."""

    file: Path
    line: int
    column: int
    name: str
    role: Role
    call: ast.Call | None
    certain: bool


@dataclass(frozen=True)
class Member:
    """Something in the package."""

    name: str


@dataclass(frozen=True)
class _Module:
    """The package itself, what it is in, or a module of the project.

    steps: as far as the package's import name. path: where it is, without suffix.
    """

    steps: tuple[str, ...] = ()
    path: Path | None = None


class _Other:
    """Anything else."""


OTHER = _Other()
Value = Member | _Module | _Other
_NOTHING: frozenset[Value] = frozenset()
_UNKNOWN: frozenset[Value] = frozenset({OTHER})


@dataclass
class Code:
    """The code of a project that has one generated package.

    unreadable: file -> why, of those that were looked into.
    """

    package: Package
    files: Sequence[Path]
    unreadable: dict[Path, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._index = {_module_path(file): file for file in self.files}
        self._readers: dict[Path, Reader | None] = {}
        self._sources: dict[Path, bytes] = {}
        self._values: dict[Binding, frozenset[Value]] = {}
        self._places: dict[int, Path] = {}  # of module scopes
        self._steps = 0

    def uses(self) -> Iterator[Use]:
        """Every mention of the package's names, file by file."""
        for file in self._interesting():
            reader = self._reader(file)
            if reader is not None:
                yield from sorted(self._uses_in(file, reader), key=lambda use: (use.line, use.column, use.name))

    def _interesting(self) -> list[Path]:
        """The files that may use the package: those that name it, or a module that passes its names on."""
        words = {self.package.steps[-1]}
        found: set[Path] = set()
        while words:
            spelled = b"|".join(re.escape(word.encode()) for word in sorted(words))
            pattern = re.compile(rb"(?<![A-Za-z0-9_])(?:" + spelled + rb")(?![A-Za-z0-9_])")  # not: explicitly
            new = [file for file in self.files if file not in found and pattern.search(self._source(file))]
            found.update(new)
            words = {_module_path(file).name for file in new if self._passes_on(file)} - words
        return sorted(found)

    def _passes_on(self, file: Path) -> bool:
        """Whether other modules can import names of the package from a file."""
        reader = self._reader(file)
        if reader is None:
            return False
        return bool(reader.module.stars) or any(
            not isinstance(value, _Other) for name in reader.module.bindings for value in self._exported(file, name)
        )

    def _uses_in(self, file: Path, reader: Reader) -> Iterator[Use]:
        for mention in reader.mentions:
            yield from self._as_uses(file, mention.node, self._value(mention.node, mention.scope), mention)
        for call, scope in reader.getattrs:
            yield from self._as_uses(file, call, self._value(call, scope), None)

    @staticmethod
    def _as_uses(file: Path, node: ast.expr, values: frozenset[Value], mention: Mention | None) -> Iterator[Use]:
        for value in values:
            if isinstance(value, Member):
                yield Use(
                    file=file,
                    line=node.lineno,
                    column=node.col_offset + 1,
                    name=value.name,
                    role=mention.role if mention is not None else "value",
                    call=mention.call if mention is not None and len(values) == 1 else None,
                    certain=len(values) == 1,
                )

    # --- files

    def _source(self, file: Path) -> bytes:
        if file not in self._sources:
            try:
                self._sources[file] = file.read_bytes()
            except OSError as exc:
                self._sources[file] = b""
                self.unreadable[file] = f"cannot be read: {exc.strerror or exc}"
        return self._sources[file]

    def _reader(self, file: Path) -> Reader | None:
        if file not in self._readers:
            self._readers[file] = self._read(file)
        return self._readers[file]

    def _read(self, file: Path) -> Reader | None:
        source = self._source(file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of escapes in other people's strings
                reader = Reader(ast.parse(source, str(file)))
        except SyntaxError as exc:
            where = f"line {exc.lineno}: " if exc.lineno else ""
            self.unreadable[file] = f"is no Python that can be read here: {where}{exc.msg}"
        except (ValueError, RecursionError, MemoryError) as exc:
            self.unreadable[file] = f"is no Python that can be read here: {exc or type(exc).__name__}"
        else:
            self._places[id(reader.module)] = file
            return reader
        return None

    # --- values

    def _value(self, node: ast.expr, scope: Scope) -> frozenset[Value]:
        """What an expression may be."""
        self._steps += 1
        try:
            return _UNKNOWN if self._steps > MAX_STEPS else self._value_of(node, scope)
        finally:
            self._steps -= 1

    def _value_of(self, node: ast.expr, scope: Scope) -> frozenset[Value]:
        if isinstance(node, ast.Name):
            return self._looked_up(node.id, scope, position(node))
        if isinstance(node, ast.Attribute):
            return self._attribute(self._value(node.value, scope), node.attr)
        if isinstance(node, ast.IfExp):
            return self._value(node.body, scope) | self._value(node.orelse, scope)
        if isinstance(node, ast.BoolOp):
            return frozenset().union(*(self._value(one, scope) for one in node.values))
        if isinstance(node, ast.NamedExpr):
            return self._value(node.value, scope)
        if isinstance(node, ast.Call):
            return self._called(node, scope)
        return _NOTHING if isinstance(node, ast.Constant) and node.value is None else _UNKNOWN

    def _called(self, node: ast.Call, scope: Scope) -> frozenset[Value]:
        """What `getattr(module, "name")` and `import_module("name")` give."""
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        name = node.func.attr if isinstance(node.func, ast.Attribute) else name
        texts = [one.value for one in node.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
        if name == "getattr" and len(node.args) > 1 and texts and isinstance(node.args[1], ast.Constant):
            return self._attribute(self._value(node.args[0], scope), texts[0])
        if name == "import_module" and len(node.args) == 1 and texts:
            module = self._absolute(tuple(texts[0].split(".")), self._places[id(scope.module)])
            return frozenset({module}) if module is not None else _UNKNOWN
        return _UNKNOWN

    def _looked_up(self, name: str, scope: Scope, at: Position) -> frozenset[Value]:
        found = _NOTHING
        where = scope
        is_later = False
        while True:
            is_seen = where is scope or where.kind != "class"  # what a class binds, its methods do not see
            bindings = where.bindings.get(name, ()) if is_seen else ()
            if where.kind == "class":  # a class that has not bound a name yet finds that of the module
                bindings = [binding for binding in bindings if binding.position <= at]
                found |= self._bound(bindings, at)
                bindings = bindings if any(binding.is_certain for binding in bindings) else ()
            if bindings:
                return found | self._bound(bindings, at, is_later)
            if where.parent is None:
                return found | self._from_stars(name, where)
            is_later = is_later or where.runs_later
            where = where.module if is_seen and where.elsewhere.get(name) == "global" else where.parent

    def _bound(self, bindings: Sequence[Binding], at: Position, is_later: bool = False) -> frozenset[Value]:
        """What a name may be at a place: what the last certain binding before it makes it, and what came after that.

        is_later: the place is in a function, which may be called at any time after its definition.
        """
        before = [binding for binding in bindings if binding.position <= at]
        after = [binding for binding in bindings if binding.position > at and (is_later or not before)]
        found = _NOTHING
        for binding in (*after, *(one for one in before if one.is_remote)):
            found |= self._value_bound(binding)
        for binding in reversed(before):
            found |= self._value_bound(binding)
            if binding.is_certain:
                break
        return found

    def _value_bound(self, binding: Binding) -> frozenset[Value]:
        if binding not in self._values:
            self._values[binding] = _UNKNOWN  # for a binding that leads back to itself
            self._values[binding] = self._worked_out(binding)
        return self._values[binding]

    def _worked_out(self, binding: Binding) -> frozenset[Value]:
        if binding.imported is None:
            values = [self._value(value, binding.scope) for value in binding.values]
            return frozenset().union(*values) if values else _UNKNOWN
        statement, alias = binding.imported
        file = self._places[id(binding.scope.module)]
        if isinstance(statement, ast.Import):
            steps = tuple(alias.name.split("."))
            module = self._absolute(steps if alias.asname else steps[:1], file)
        else:
            module = self._imported_from(statement, file)
            if module is not None:
                return self._attribute(frozenset({module}), alias.name)
        return frozenset({module}) if module is not None else _UNKNOWN

    def _from_stars(self, name: str, module: Scope) -> frozenset[Value]:
        """What `from … import *` may have brought into a module."""
        found = _NOTHING
        for statement in module.stars:
            source = self._imported_from(statement, self._places[id(module)])
            if source is not None and (source.steps != self.package.steps or name in self.package.names):
                found |= self._attribute(frozenset({source}), name)
        return found or _UNKNOWN

    # --- modules

    def _attribute(self, values: frozenset[Value], name: str) -> frozenset[Value]:
        found = _NOTHING
        for value in values:
            found |= self._attribute_of(value, name) if isinstance(value, _Module) else _UNKNOWN
        return found

    def _attribute_of(self, module: _Module, name: str) -> frozenset[Value]:
        if module.steps == self.package.steps:
            return frozenset({Member(name)})
        exported = self._exported(self._index[module.path], name) if module.path in self._index else _NOTHING
        if exported - _UNKNOWN:
            return exported
        below = self._below(module, name)
        return frozenset({below}) if below is not None else _UNKNOWN

    def _exported(self, file: Path, name: str) -> frozenset[Value]:
        """What another module gets by a name of this one."""
        self._steps += 1
        try:
            reader = self._reader(file) if self._steps <= MAX_STEPS else None
            if reader is None:
                return _NOTHING
            if name in reader.module.bindings:
                return self._bound(reader.module.bindings[name], END)
            return self._from_stars(name, reader.module)
        finally:
            self._steps -= 1

    def _below(self, module: _Module, name: str) -> _Module | None:
        """A module within a module."""
        steps = (*module.steps, name) if module.steps else ()
        if steps and steps != self.package.steps[: len(steps)]:
            steps = ()
        path = module.path / name if module.path is not None else None
        return self._known(steps, path)

    def _known(self, steps: tuple[str, ...], path: Path | None) -> _Module | None:
        if path == self.package.directory:
            steps = self.package.steps
        known_path = path if path is not None and (path in self._index or path.is_dir()) else None
        return _Module(steps, known_path) if steps or known_path is not None else None

    def _absolute(self, steps: tuple[str, ...], importer: Path) -> _Module | None:
        """The module of an import name, for a file that imports it."""
        of_package = steps if steps == self.package.steps[: len(steps)] else ()
        if of_package:
            return _Module(steps, self.package.root.joinpath(*steps))
        for root in (self.package.root, *importer.parents):
            is_root = root == self.package.root or (root not in self._index and root.is_relative_to(self.package.root))
            if is_root and root.joinpath(*steps) in self._index:
                return _Module((), root.joinpath(*steps))
        return None

    def _imported_from(self, statement: ast.ImportFrom, file: Path) -> _Module | None:
        """The module that a statement imports from."""
        steps = tuple(statement.module.split(".")) if statement.module else ()
        if not statement.level:
            return self._absolute(steps, file)
        if statement.level > len(file.parents):
            return None
        path = file.parents[statement.level - 1].joinpath(*steps)
        inside = self.package.directory.relative_to(path).parts if self.package.directory.is_relative_to(path) else ()
        of_package = self.package.steps[: len(self.package.steps) - len(inside)] if inside else ()
        return self._known(of_package, path)


def _module_path(file: Path) -> Path:
    """Where a module is, as its import name spells it."""
    return file.parent if file.name == "__init__.py" else file.with_suffix("")


def nearest(file: Path, packages: Collection[Package]) -> Package | None:
    """The package that a file's imports find: that of the nearest directory above."""
    above = [package for package in packages if file.is_relative_to(package.root)]
    return max(above, key=lambda package: len(package.root.parts), default=None)
