"""Where messages are made: every error and finding of the core and the package, and its texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final

from pgmigrate import errors
from reference.package import Module, raised
from reference.public import PACKAGE
from reference.rust import Call, Expression, Function, SourceFile, arguments_of
from reference.values import Core

CORE: Final = PACKAGE.parents[1] / "src"
_ERRORS: Final = {name for name in errors.__all__ if name.endswith("Error")}
# How far the calls of a function that makes an error are followed.
_CALLERS: Final = 3
_SEVERITIES: Final = ("info", "warning", "blocking")


@dataclass(frozen=True)
class Site:
    """A place that makes an error or a finding.

    Attributes:
        name: its stable name; empty for an error that takes over the name of its cause.
        kind: the kind of the error, or the severity of the finding; empty if it depends.
        is_finding: whether it is a finding.
        texts: what it says; several if it depends.
        remedies: what it says to do about it.
        place: file and line.
    """

    name: str
    kind: str
    is_finding: bool
    texts: tuple[str, ...]
    remedies: tuple[str, ...]
    place: str


# Findings that repeat an error, with its text.
_REPEATED: Final = {"foreign_key_unchecked": "orphan_rows"}


@cache
def _core() -> Core:
    return Core(CORE)


@cache
def sites() -> list[Site]:
    """All of them, in the order of the files."""
    core = _core()
    found = list(dict.fromkeys([*_errors(core), *_findings(core), *_of_package()]))
    return [_repeated(site, found) for site in found]


def _repeated(site: Site, found: Sequence[Site]) -> Site:
    of = [one for one in found if one.name == _REPEATED.get(site.name)]
    texts = tuple(text for one in of for text in one.texts)
    remedies = tuple(remedy for one in of for remedy in one.remedies)
    return replace(site, texts=texts, remedies=remedies) if of else site


def checks() -> dict[str, str]:
    """The checks of the preflight: what is true where they find nothing, by their names."""
    core = _core()
    (file,) = (one for one in core.files if one.path == "engine/preflight/checks.rs")
    found = {}
    for table in ("PREREQUISITES", "WHOLE"):
        tokens = file.constants[table]
        for at, token in enumerate(tokens):
            if token.text == "(":
                (name, about), _ = arguments_of(tokens, at)
                found[_check(core, file, name)] = about[0].text
    return found


def _check(core: Core, file: SourceFile, name: Expression) -> str:
    """A check's name: written in place, or a constant of a module."""
    if name[0].kind == "text":
        return name[0].text
    module = name[-3].text
    (where,) = (
        one for one in core.files if Path(one.path).stem == module and "CHECK" in one.constants
    )
    return core.texts(where, 0, where.constants["CHECK"])[0]


def _errors(core: Core) -> Iterator[Site]:
    for file in core.files:
        for call in file.calls("Error", "new"):
            # An error that is made from another one keeps its name.
            if len(call.arguments) == 3 and not _is_of_other(call.arguments[0]):
                name, kind, doing = call.arguments
                named = _literal(core, file, call.at, name)
                kinds = kind[-1].text.lower() if len(kind) == 3 else ""
                for made in _made(core, _Made(call, doing, (), ()).chained(core)):
                    yield made.site(core, named, kinds)
        yield from _renamed(core, file)


def _is_of_other(name: Expression) -> bool:
    return [token.text for token in name[-2:]] == [".", "name"]


@dataclass(frozen=True)
class _Made:
    """How an error is made, where the function is called that makes it.

    Attributes:
        call: the call.
        doing: what was being done.
        causes: its causes; None for one that only the case has.
        remedies: its remedies.
        where: its side, and its object, where it has them.
    """

    call: Call
    doing: Expression
    causes: tuple[Expression | None, ...]
    remedies: tuple[Expression, ...]
    where: tuple[str, str] = ("", "")

    def chained(self, core: Core) -> _Made:
        """The same with what the methods of the chain behind the call add to it."""
        made = self
        for method, arguments in self.call.methods():
            if method == "caused_by":
                made = replace(made, causes=(*made.causes, arguments[0]))
            elif method == "caused_by_server":
                made = replace(made, causes=(*made.causes, None))
            elif method == "remedy" and arguments:
                made = replace(made, remedies=(*made.remedies, arguments[0]))
            elif method == "on":
                side = arguments[0][-1].text.lower()
                shown = side if side in ("source", "target") else "{side}"
                made = replace(made, where=(shown, made.where[1]))
            elif method == "object":
                made = replace(made, where=(made.where[0], "{object}"))
        return made

    def site(self, core: Core, name: str, kind: str) -> Site:
        """The place with its texts."""
        file, at = self.call.file, self.call.at
        texts = [self._with_place(text) for text in _prose(core.texts(file, at, self.doing))]
        causes = [text for cause in self.causes for text in _of_cause(core, file, at, cause)]
        remedies = [text for one in self.remedies for text in core.texts(file, at, one)]
        return Site(
            name,
            kind,
            False,
            tuple(f"{text}: {cause}" for text in texts for cause in causes or [""])
            if causes
            else tuple(texts),
            _prose(remedies),
            f"src/{file.path}:{self.call.line}",
        )

    def _with_place(self, text: str) -> str:
        """The text with its side and its object, where it does not name them itself."""
        side, thing = self.where
        side = "" if side and f"the {side}" in text else side and f" on the {side}"
        return f"{text}{side}{thing and ' ({object})'}"


def _of_cause(core: Core, file: SourceFile, at: int, cause: Expression | None) -> tuple[str, ...]:
    if cause is None:
        return ("{reply of the server}",)
    # Any other cause is known only when it happens.
    local = file.local(cause[0].text, at) if len(cause) == 1 else None
    written = cause if local is None else local[1]
    is_written = any(token.kind == "text" or token.text == "format!" for token in written)
    texts = _prose(core.texts(file, at, cause)) if is_written else ()
    return texts or ("{cause}",)


def _made(core: Core, made: _Made, depth: int = 0) -> Iterator[_Made]:
    """The errors of a function whose text is a parameter: one for each of its calls."""
    file, at = made.call.file, made.call.at
    around = file.enclosing(at)
    words = [token.text for token in made.doing if token.text not in ("&", "*")]
    is_parameter = around is not None and len(words) == 1 and words[0] in around.parameters
    if around is None or not is_parameter or file.local(words[0], at) or depth == _CALLERS:
        yield made
        return
    for call, arguments in core.callers(file, around):
        causes = tuple(
            arguments.get(one[0].text, one) if one and len(one) == 1 else one for one in made.causes
        )
        outer = _Made(call, arguments[words[0]], causes, made.remedies, made.where)
        yield from _made(core, outer.chained(core), depth + 1)


def _renamed(core: Core, file: SourceFile) -> Iterator[Site]:
    """Errors of another function that get a closer name, in the function around it."""
    for call in file.calls("named", methods=True):
        if len(call.arguments) != 1 or call.arguments[0][0].kind != "text":
            continue
        name, at = call.arguments[0][0].text, call.at
        source = file.receiver(at)
        if len(source) == 1:
            local = file.local(source[0].text, at)
            source = source if local is None else local[1]
        texts: tuple[str, ...] = ()
        for place, token in enumerate(source):
            if token.text == "from_postgres":
                doing = arguments_of(source, place + 1)[0][-1]
                texts = _prose(core.texts(file, at, doing))
        remedies = [
            text for value in file.assigned(at, "remedy") for text in core.texts(file, at, value)
        ]
        yield Site(
            name,
            "",
            False,
            tuple(f"{text}: {{cause}}" for text in texts),
            _prose(remedies),
            f"src/{file.path}:{call.line}",
        )


def _findings(core: Core) -> Iterator[Site]:
    helpers: list[tuple[SourceFile, Function, Site]] = []
    for file in core.files:
        for call in file.calls("Finding", "new"):
            site, helper = _finding(core, call)
            if helper is None:
                yield site
            else:
                helpers.append((file, helper, site))
    for where, helper, made in helpers:
        for file in core.files:
            is_near = helper.is_public and Path(file.path).parent == Path(where.path).parent
            if file is where or is_near:
                for call in file.calls(helper.name):
                    yield from _of_helper(core, call, helper, made)


def _positions(helper: Function) -> Mapping[str, int]:
    wanted = {"check": "check", "message": "message", "words": "message", "remedy": "remedy"}
    return {wanted[name]: at for at, name in enumerate(helper.parameters) if name in wanted}


def _finding(core: Core, call: Call) -> tuple[Site, Function | None]:
    """The site of a finding, or the function that makes it for others under their names."""
    file, at = call.file, call.at
    check, severity, _, message, remedy = call.arguments
    around = file.enclosing(at)
    helper = None
    if around is not None and len(check) == 1 and check[0].text in around.parameters:
        helper = around
    severity_name = severity[-1].text.lower()
    site = Site(
        "" if helper else _literal(core, file, at, check),
        severity_name if severity_name in _SEVERITIES else "",
        True,
        _prose(core.texts(file, at, message)),
        _prose(core.texts(file, at, remedy)),
        f"src/{file.path}:{call.line}",
    )
    return site, helper


def _of_helper(core: Core, call: Call, helper: Function, made: Site) -> Iterator[Site]:
    if len(call.arguments) != len(helper.parameters):
        return
    positions = _positions(helper)
    parts: dict[str, Expression] = {part: call.arguments[at] for part, at in positions.items()}
    texts = {part: core.texts(call.file, call.at, value) for part, value in parts.items()}
    for name in _names(texts.get("check", [])):
        yield Site(
            name,
            made.kind,
            True,
            _prose(texts["message"]) if "message" in texts else made.texts,
            _prose(texts["remedy"]) if "remedy" in texts else made.remedies,
            f"src/{call.file.path}:{call.line}",
        )


def _names(found: Iterable[str]) -> Iterator[str]:
    for name in found:
        if name.startswith("{side}"):
            yield name.replace("{side}", "source")
            yield name.replace("{side}", "target")
        elif name.startswith("{}"):
            yield name.replace("{}", "source")
            yield name.replace("{}", "target")
        elif re.fullmatch(r"[a-z][a-z_0-9]*", name):
            yield name


def _literal(core: Core, file: SourceFile, at: int, value: Expression) -> str:
    """A name that is written in place, or in a constant; empty for that of another error."""
    return next(_names(core.texts(file, at, value)), "")


def _prose(texts: Iterable[str]) -> tuple[str, ...]:
    """The texts that are sentences, or parts of one, each once."""
    found = [" ".join(text.split()) for text in texts]
    return tuple(dict.fromkeys(filter(_is_prose, found)))


def _is_prose(text: str) -> bool:
    return text.startswith("{action:") or (" " in text and bool(text.strip(" {}:;,()")))


def _of_package() -> Iterator[Site]:
    for path in sorted(PACKAGE.rglob("*.py")):
        module = Module(path)
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = f"python/{path.relative_to(PACKAGE.parent)}:{node.lineno}"
                if node.func.id in _ERRORS:
                    yield _package_error(module, node, place)
                elif node.func.id == "Finding" and len(node.args) == 5:
                    yield _package_finding(module, node, place)


def _package_error(module: Module, node: ast.Call, place: str) -> Site:
    assert isinstance(node.func, ast.Name)
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    name = keywords.get("name")
    remedy = keywords.get("remedy")
    texts = module.texts(node.args[0]) if node.args else []
    if [ast.unparse(one) for one in node.args] == ["str(error)"]:
        texts = [*raised("EmbeddedServerError")]
    return Site(
        str(name.value) if isinstance(name, ast.Constant) else "",
        getattr(errors, node.func.id).kind,
        False,
        tuple(texts),
        () if remedy is None else tuple(filter(None, module.texts(remedy))),
        place,
    )


def _package_finding(module: Module, node: ast.Call, place: str) -> Site:
    check, severity, _, message, remedy = node.args
    name, kind = (
        str(one.value) if isinstance(one, ast.Constant) else "" for one in (check, severity)
    )
    return Site(
        name,
        kind,
        True,
        tuple(module.texts(message)),
        tuple(filter(None, module.texts(remedy))),
        place,
    )
