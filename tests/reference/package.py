"""The texts that a value of the package can have: literals, wherever they are written."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Final, TypeAlias

from pgmigrate._values.wording import WORDS
from reference.public import PACKAGE

FunctionDef: TypeAlias = "ast.FunctionDef | ast.AsyncFunctionDef"
Scope: TypeAlias = "FunctionDef | None"

# How far a text is followed through functions and names, and in how many forms it is shown.
_DEPTH: Final = 4
_FORMS: Final = 6
# Functions whose result is the text that they are given.
_SAME: Final = ("rendered", "printable", "str")
# Where a text is made that its user cannot be followed to: the expression, and the function.
_ELSEWHERE: Final = {
    "ended.text()": ("_procedure/command.py", "text"),
    "ended.remedy()": ("_procedure/command.py", "remedy"),
    "map(self._environment.problem, commands)": ("_procedure/command.py", "problem"),
    "finding.words()": (None, "{object}: {message}"),
    "usage_words(error)": (None, "{mistake in the words of the option parser}"),
    "usage_remedy(error)": ("cli/call.py", "usage_remedy"),
}


class Module:
    """A module of the package.

    Args:
        path: its file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))

    @cached_property
    def functions(self) -> list[FunctionDef]:
        """All functions and methods."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return [node for node in ast.walk(self.tree) if isinstance(node, kinds)]

    def scope(self, node: ast.AST) -> Scope:
        """The innermost function around a node."""
        line = getattr(node, "lineno", 0)
        around = [one for one in self.functions if one.lineno <= line <= (one.end_lineno or 0)]
        return max(around, key=lambda one: one.lineno, default=None)

    def texts(self, node: ast.expr, depth: int = 0) -> list[str]:
        """The texts of an expression; what is inserted and not followed has its name in braces."""
        return list(dict.fromkeys(self._texts(node, depth)))

    def _texts(self, node: ast.expr, depth: int) -> Iterator[str]:
        elsewhere = _ELSEWHERE.get(ast.unparse(node))
        if elsewhere is not None:
            yield from self._of_other(*elsewhere, depth)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from _forms([self._piece(value, depth) for value in node.values])
        elif isinstance(node, ast.BinOp):
            sides = (self._known(side, depth) for side in (node.left, node.right))
            yield from _forms(list(sides))
        elif isinstance(node, ast.IfExp):
            yield from (*self._texts(node.body, depth), *self._texts(node.orelse, depth))
        elif isinstance(node, ast.BoolOp):
            for value in node.values:
                yield from self._known(value, depth)
        elif isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            for table in self._assigned(node.value.id, None):
                if isinstance(table, ast.Dict):
                    for value in table.values:
                        yield from self._texts(value, depth)
        elif isinstance(node, ast.Call) and depth < _DEPTH:
            yield from self._of_call(node, depth)
        elif isinstance(node, ast.Name) and depth < _DEPTH:
            yield from self._of_name(node, depth)

    def _known(self, node: ast.expr, depth: int) -> list[str]:
        return self.texts(node, depth) or [_braces(node)]

    def _piece(self, node: ast.expr, depth: int) -> list[str]:
        if isinstance(node, ast.Constant):
            assert isinstance(node.value, str)
            return [node.value]
        assert isinstance(node, ast.FormattedValue)
        inner = node.value
        if isinstance(inner, ast.Call) and ast.unparse(inner.func) == "action":
            # A name that is known only to a loop: one of them stands for all.
            of = ast.unparse(inner.args[0]).strip("'")
            return [f"{{action:{of if of in WORDS else 'plan_file'}}}"]
        texts = self.texts(inner, depth + 1)
        # A word or two are no text that needs to be read.
        is_prose = all(not text or re.search(r"[a-z] [a-z{]", text) for text in texts)
        return texts if is_prose and 0 < len(texts) <= _FORMS else [_braces(inner)]

    def _of_call(self, node: ast.Call, depth: int) -> Iterator[str]:
        name = ast.unparse(node.func)
        if name == "action":
            yield f"{{action:{ast.literal_eval(node.args[0])}}}"
        elif name in _SAME and node.args:
            yield from self._texts(node.args[0], depth)
        elif re.fullmatch(r"(self\.)?\w+", name):
            for one in self.functions:
                if one.name == name.removeprefix("self."):
                    yield from self.returned(one, depth + 1)

    def returned(self, function: FunctionDef, depth: int = 0) -> Iterator[str]:
        """The texts that a function returns."""
        for node in ast.walk(function):
            if isinstance(node, ast.Return) and node.value is not None:
                yield from self._texts(node.value, depth)

    def _of_name(self, node: ast.Name, depth: int) -> Iterator[str]:
        scope = self.scope(node)
        found = list(self._assigned(node.id, scope))
        if not found and scope is not None:
            found = list(self._given(node.id, scope))
        for value in found or self._assigned(node.id, None):
            yield from self._texts(value, depth + 1)

    def _assigned(self, name: str, scope: Scope, depth: int = 0) -> Iterator[ast.expr]:
        """The values that a name gets in a function, or in the module."""
        nodes = self.tree.body if scope is None else [*ast.walk(scope)]
        for node in nodes:
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    yield from _matched(target, node.value, name)
            elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
                yield from _matched(node.target, node.value, name)
            elif isinstance(node, ast.comprehension | ast.For) and _has(node.target, name):
                for item in self._items(node.iter, scope, depth + 1):
                    yield from _matched(node.target, item, name)

    def _items(self, values: ast.expr, scope: Scope, depth: int = 0) -> Iterator[ast.expr]:
        """The items of what a loop is over."""
        if depth == 2 * _DEPTH:
            return
        if isinstance(values, ast.List | ast.Tuple):
            yield from values.elts
        elif isinstance(values, ast.ListComp | ast.GeneratorExp):
            yield values.elt
        elif ast.unparse(values) in _ELSEWHERE:
            yield values
        elif isinstance(values, ast.Call):
            for argument in values.args:
                yield from self._items(argument, scope, depth + 1)
        elif isinstance(values, ast.Name) and scope is not None:
            for value in self._assigned(values.id, scope, depth):
                yield from self._items(value, scope, depth + 1)
            for node in ast.walk(scope):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == f"{values.id}.append":
                    yield node.args[0]

    def _given(self, name: str, scope: FunctionDef) -> Iterator[ast.expr]:
        """What the function's calls in the module give for a parameter."""
        names = [one.arg for one in (*scope.args.posonlyargs, *scope.args.args)]
        is_method = names[:1] in (["self"], ["cls"])
        if name not in names:
            return
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == scope.name:
                given = dict(zip(names[is_method:], node.args, strict=False))
                if name in given:
                    yield given[name]

    def _of_other(self, path: str | None, name: str, depth: int) -> Iterator[str]:
        if path is None:
            yield name
            return
        other = Module(PACKAGE / path)
        for function in other.functions:
            if function.name == name:
                yield from other.returned(function, depth + 1)


def raised(error: str) -> Iterator[str]:
    """The texts of all errors of a class."""
    for path in sorted(PACKAGE.rglob("*.py")):
        module = Module(path)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == error and node.args:
                yield from module.texts(node.args[0])


def _has(target: ast.expr, name: str) -> bool:
    return any(isinstance(node, ast.Name) and node.id == name for node in ast.walk(target))


def _matched(target: ast.expr, value: ast.expr, name: str) -> Iterator[ast.expr]:
    """The part of a value that a name gets from an assignment."""
    if isinstance(target, ast.Name) and target.id == name:
        yield value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for inner, part in zip(target.elts, value.elts, strict=False):
            yield from _matched(inner, part, name)


def _forms(pieces: list[list[str]]) -> Iterable[str]:
    number = 1
    for piece in pieces:
        number *= len(piece)
    if number > _FORMS:
        pieces = [one if len(one) == 1 else ["{" + " | ".join(one) + "}"] for one in pieces]
    return ["".join(form) for form in product(*pieces)]


def _braces(node: ast.expr) -> str:
    """The name of what an expression inserts."""
    if isinstance(node, ast.Call):
        if not node.args and isinstance(node.func, ast.Attribute):
            return _braces(node.func.value)
        return _braces([*node.args, node.func][0])
    if isinstance(node, ast.Attribute):
        return "{type}" if node.attr == "__name__" else "{" + node.attr.strip("_") + "}"
    if isinstance(node, ast.Name):
        return "{" + node.id.strip("_").lower() + "}"
    if isinstance(node, ast.Subscript):
        return _braces(node.slice if isinstance(node.slice, ast.Name) else node.value)
    if isinstance(node, ast.GeneratorExp | ast.ListComp):
        return _braces(node.elt)
    words = [one for one in ast.walk(node) if isinstance(one, ast.Name | ast.Attribute)]
    return _braces(words[-1]) if words else "{...}"
