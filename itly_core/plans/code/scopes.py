"""What names of a Python file are bound to, by scope, without running it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Position = tuple[int, int]
Role = Literal["call", "value", "annotation"]
START: Position = (0, 0)
END: Position = (10**9, 0)


@dataclass(eq=False)
class Binding:
    """One way in which a name of a scope gets its value.

    values: the expressions it may be; none: nothing that can be known. imported: the import statement and the name in it.
    is_certain: code that comes after it in the same scope sees no older binding. is_remote: a function binds a name of a
    scope around it, whenever it is called.
    """

    scope: Scope
    position: Position
    is_certain: bool
    is_remote: bool = False
    values: tuple[ast.expr, ...] = ()
    imported: tuple[ast.Import | ast.ImportFrom, ast.alias] | None = None


@dataclass(eq=False)
class Scope:
    """A module, class, function, lambda or comprehension."""

    kind: Literal["module", "class", "function"]
    parent: Scope | None = None
    bindings: dict[str, list[Binding]] = field(default_factory=dict)
    elsewhere: dict[str, Literal["global", "nonlocal"]] = field(default_factory=dict)
    stars: list[ast.ImportFrom] = field(default_factory=list)

    @property
    def runs_later(self) -> bool:
        """Whether it runs when somebody calls it, not where it is written."""
        return self.kind == "function"

    @property
    def module(self) -> Scope:
        return self if self.parent is None else self.parent.module


@dataclass(frozen=True)
class Mention:
    """A name or attribute that is read. call: where it is what a call calls."""

    node: ast.Name | ast.Attribute
    scope: Scope
    role: Role
    call: ast.Call | None = None


def position(node: ast.AST) -> Position:
    return getattr(node, "lineno", 0), getattr(node, "col_offset", 0)


def end(node: ast.AST) -> Position:
    return getattr(node, "end_lineno", None) or 0, getattr(node, "end_col_offset", None) or 0


class Reader(ast.NodeVisitor):
    """Reads a module: its scope, and every mention in it."""

    def __init__(self, tree: ast.Module) -> None:
        self.mentions: list[Mention] = []
        self.getattrs: list[tuple[ast.Call, Scope]] = []
        self.module = Scope("module")
        self._scope = self.module
        self._depth = 0  # of branches and loops within the scope
        self._role: Role = "value"
        self.visit(tree)

    # --- bindings

    def _bind(
        self,
        name: str,
        at: Position,
        *,
        values: tuple[ast.expr, ...] = (),
        imported: tuple[ast.Import | ast.ImportFrom, ast.alias] | None = None,
        scope: Scope | None = None,
    ) -> None:
        target = scope or self._scope
        given = target.elsewhere.get(name)
        home = target
        if given == "global":
            home = target.module
        elif given == "nonlocal":
            home = next((outer for outer in _outer_functions(target) if name in outer.bindings), target)
        is_remote = home is not target
        is_certain = self._depth == 0 and not is_remote
        home.bindings.setdefault(name, []).append(Binding(self._scope, at, is_certain, is_remote, values, imported))

    def _bind_target(self, target: ast.expr, values: tuple[ast.expr, ...], at: Position) -> None:
        if isinstance(target, ast.Name):
            self._bind(target.id, at, values=values)
        elif isinstance(target, ast.Tuple | ast.List):
            for index, element in enumerate(target.elts):
                parts = tuple(
                    value.elts[index]
                    for value in values
                    if isinstance(value, ast.Tuple | ast.List)
                    and len(value.elts) == len(target.elts)
                    and not any(isinstance(one, ast.Starred) for one in (*value.elts, *target.elts))
                )
                self._bind_target(element, parts, at)
        elif isinstance(target, ast.Starred):
            self._bind_target(target.value, (), at)
        else:
            self.visit(target)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._bind(alias.asname or alias.name.partition(".")[0], end(node), imported=(node, alias))

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            if alias.name == "*":
                self._scope.stars.append(node)
            else:
                self._bind(alias.asname or alias.name, end(node), imported=(node, alias))

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        for target in node.targets:
            self._bind_target(target, (node.value,), end(node))

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        self._annotation(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self._bind_target(node.target, (node.value,), end(node))
        elif not isinstance(node.target, ast.Name):
            self.visit(node.target)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self.visit(node.value)
        self._bind_target(node.target, (), end(node))

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        self.visit(node.value)
        scope = self._scope
        while isinstance(scope, _Comprehension) and scope.parent is not None:
            scope = scope.parent
        self._bind(node.target.id, end(node), values=(node.value,), scope=scope)

    def visit_Delete(self, node: ast.Delete) -> None:
        for target in node.targets:
            self._bind_target(target, (), end(node))

    def visit_Global(self, node: ast.Global) -> None:
        self._scope.elsewhere.update(dict.fromkeys(node.names, "global"))

    def visit_Nonlocal(self, node: ast.Nonlocal) -> None:
        self._scope.elsewhere.update(dict.fromkeys(node.names, "nonlocal"))

    # --- branches

    def _branch(self, *parts: list[ast.stmt] | ast.AST | None) -> None:
        self._depth += 1
        for part in parts:
            for node in part if isinstance(part, list) else [part] if part is not None else []:
                self.visit(node)
        self._depth -= 1

    def visit_If(self, node: ast.If) -> None:
        while True:  # not a call for each `elif`: there may be hundreds
            self.visit(node.test)
            self._branch(node.body)
            if len(node.orelse) != 1 or not isinstance(node.orelse[0], ast.If):
                break
            node = node.orelse[0]
        self._branch(node.orelse)

    def visit_While(self, node: ast.While) -> None:
        self.visit(node.test)
        self._branch(node.body, node.orelse)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        self.visit(node.iter)
        self._depth += 1
        self._bind_target(node.target, _elements(node.iter), end(node.iter))
        self._depth -= 1
        self._branch(node.body, node.orelse)

    visit_AsyncFor = visit_For

    def visit_Try(self, node: ast.Try) -> None:
        self._branch(node.body)
        for handler in node.handlers:
            if handler.type is not None:
                self.visit(handler.type)
            self._depth += 1
            if handler.name:
                self._bind(handler.name, position(handler))
            self._depth -= 1
            self._branch(handler.body)
        self._branch(node.orelse)
        for statement in node.finalbody:
            self.visit(statement)

    visit_TryStar = visit_Try

    def visit_With(self, node: ast.With | ast.AsyncWith) -> None:
        for item in node.items:
            self.visit(item.context_expr)
            if item.optional_vars is not None:
                self._bind_target(item.optional_vars, (), end(item.optional_vars))
        for statement in node.body:
            self.visit(statement)

    visit_AsyncWith = visit_With

    def visit_Match(self, node: ast.Match) -> None:
        self.visit(node.subject)
        for case in node.cases:
            self._branch(case.pattern, case.guard, case.body)

    def _visit_capture(self, node: ast.MatchAs | ast.MatchStar | ast.MatchMapping) -> None:
        name = node.rest if isinstance(node, ast.MatchMapping) else node.name
        if name:
            self._bind(name, end(node))
        self.generic_visit(node)

    visit_MatchAs = visit_MatchStar = visit_MatchMapping = _visit_capture

    # --- scopes

    def _inside(self, scope: Scope) -> _Entered:
        return _Entered(self, scope)

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            self.visit(decorator)
        self._arguments_outside(node.args)
        if node.returns is not None:
            self._annotation(node.returns)
        self._bind(node.name, position(node))
        with self._inside(Scope("function", self._scope)):
            self._bind_arguments(node.args)
            for statement in node.body:
                self.visit(statement)

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._arguments_outside(node.args)
        with self._inside(Scope("function", self._scope)):
            self._bind_arguments(node.args)
            self.visit(node.body)

    def _arguments_outside(self, arguments: ast.arguments) -> None:
        """Defaults and annotations, which belong to the scope around the function."""
        for default in (*arguments.defaults, *arguments.kw_defaults):
            if default is not None:
                self.visit(default)
        for argument in _all(arguments):
            if argument.annotation is not None:
                self._annotation(argument.annotation)

    def _bind_arguments(self, arguments: ast.arguments) -> None:
        for argument in _all(arguments):
            self._bind(argument.arg, START)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        for outside in (*node.decorator_list, *node.bases, *node.keywords):
            self.visit(outside)
        self._bind(node.name, position(node))
        with self._inside(Scope("class", self._scope)):
            for statement in node.body:
                self.visit(statement)

    def _visit_comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        self.visit(node.generators[0].iter)
        with self._inside(_Comprehension("function", self._scope)):
            for index, generator in enumerate(node.generators):
                if index:
                    self.visit(generator.iter)
                self._bind_target(generator.target, _elements(generator.iter), START)
                for condition in generator.ifs:
                    self.visit(condition)
            for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
                self.visit(part)

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _visit_comprehension

    # --- mentions

    def _annotation(self, node: ast.expr) -> None:
        before, self._role = self._role, "annotation"
        self.visit(node)
        self._role = before

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name | ast.Attribute):
            self._mention(node.func, node)
        else:
            self.visit(node.func)
        if isinstance(node.func, ast.Name) and node.func.id == "getattr":
            self.getattrs.append((node, self._scope))
        for argument in (*node.args, *node.keywords):
            self.visit(argument)

    def _mention(self, node: ast.Name | ast.Attribute, call: ast.Call | None) -> None:
        if isinstance(node.ctx, ast.Load):
            role: Role = "call" if call is not None else self._role
            self.mentions.append(Mention(node, self._scope, role, call))
        if isinstance(node, ast.Attribute):
            self.visit(node.value)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        left: ast.expr = node
        while isinstance(left, ast.BinOp):  # not a call for each: text may be added up from hundreds of pieces
            self.visit(left.right)
            left = left.left
        self.visit(left)

    def visit_Name(self, node: ast.Name) -> None:
        self._mention(node, None)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self._mention(node, None)


class _Comprehension(Scope):
    """A scope that runs where it is written, and that `:=` binds past."""

    @property
    def runs_later(self) -> bool:
        return False


class _Entered:
    """The reader within a scope of its own."""

    def __init__(self, reader: Reader, scope: Scope) -> None:
        self._reader = reader
        self._before = (reader._scope, reader._depth, reader._role)
        self._scope = scope

    def __enter__(self) -> None:
        self._reader._scope, self._reader._depth, self._reader._role = self._scope, 0, "value"

    def __exit__(self, *_: object) -> None:
        self._reader._scope, self._reader._depth, self._reader._role = self._before


def _all(arguments: ast.arguments) -> Iterator[ast.arg]:
    yield from (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    yield from (argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None)


def _elements(node: ast.expr) -> tuple[ast.expr, ...]:
    """What a loop over a written list goes through."""
    return tuple(node.elts) if isinstance(node, ast.Tuple | ast.List | ast.Set) else ()


def _outer_functions(scope: Scope) -> Iterator[Scope]:
    outer = scope.parent
    while outer is not None:
        if outer.kind == "function":
            yield outer
        outer = outer.parent
