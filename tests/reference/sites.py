"""Where messages are made: every error and finding of the core and the package, and its texts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pgmigrate import errors
from reference.public import PACKAGE
from reference.rust import Call, Core, Expression, Function, SourceFile, arguments_of

CORE: Final = PACKAGE.parents[1] / "src"
_ERRORS: Final = {name for name in errors.__all__ if name.endswith("Error")}
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


@cache
def sites() -> list[Site]:
    """All of them, in the order of the files."""
    core = Core(CORE)
    return list(dict.fromkeys([*_errors(core), *_findings(core), *_of_package()]))


def checks() -> dict[str, str]:
    """The checks of the preflight: what is true where they find nothing, by their names."""
    core = Core(CORE)
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
            if len(call.arguments) != 3:
                continue
            name, kind, doing = call.arguments
            remedies: list[str] = []
            causes: list[str] = []
            # An error that is made from another one, and keeps its name.
            if [token.text for token in name[-2:]] == [".", "name"]:
                continue
            named = _literal(core, file, call.at, name)
            for method, arguments in call.methods():
                if method == "caused_by":
                    causes += _prose(core.texts(file, call.at, arguments[0]))
                elif method == "remedy":
                    remedies += _prose(core.texts(file, call.at, arguments[0]))
            yield Site(
                named,
                kind[-1].text.lower() if len(kind) == 3 else "",
                False,
                _with_causes(_prose(core.texts(file, call.at, doing)), causes),
                tuple(remedies),
                f"src/{file.path}:{call.line}",
            )
        yield from _renamed(file)


def _with_causes(texts: tuple[str, ...], causes: list[str]) -> tuple[str, ...]:
    return tuple(f"{text}: {cause}" for text in texts for cause in causes) if causes else texts


def _renamed(file: SourceFile) -> Iterator[Site]:
    """Errors of another function that get a closer name."""
    for at, token in enumerate(file.tokens[:-3]):
        if (
            token.text == "."
            and file.tokens[at + 1].text == "named"
            and file.tokens[at + 3].kind == "text"
        ):
            place = f"src/{file.path}:{token.line}"
            yield Site(file.tokens[at + 3].text, "", False, (), (), place)


def _findings(core: Core) -> Iterator[Site]:
    helpers: list[tuple[SourceFile, Function, str]] = []
    for file in core.files:
        for call in file.calls("Finding", "new"):
            site, helper = _finding(core, call)
            if helper is None:
                yield site
            else:
                helpers.append((file, helper, site.kind))
    for where, helper, severity in helpers:
        for file in core.files:
            is_near = helper.is_public and Path(file.path).parent == Path(where.path).parent
            if file is where or is_near:
                for call in file.calls(helper.name):
                    yield from _of_helper(core, call, helper, severity)


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


def _of_helper(core: Core, call: Call, helper: Function, severity: str) -> Iterator[Site]:
    if len(call.arguments) != len(helper.parameters):
        return
    positions = _positions(helper)
    parts: dict[str, Expression] = {part: call.arguments[at] for part, at in positions.items()}
    texts = {part: core.texts(call.file, call.at, value) for part, value in parts.items()}
    for name in _names(texts.get("check", [])):
        yield Site(
            name,
            severity,
            True,
            _prose(texts.get("message", [])),
            _prose(texts.get("remedy", [])),
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
        source = path.read_text(encoding="utf-8")
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                place = f"python/{path.relative_to(PACKAGE.parent)}:{node.lineno}"
                if node.func.id in _ERRORS:
                    yield _package_error(node, place)
                elif node.func.id == "Finding" and len(node.args) == 5:
                    yield _package_finding(node, place)


def _package_error(node: ast.Call, place: str) -> Site:
    assert isinstance(node.func, ast.Name)
    keywords = {keyword.arg: keyword.value for keyword in node.keywords}
    name = keywords.get("name")
    return Site(
        str(name.value) if isinstance(name, ast.Constant) else "",
        getattr(errors, node.func.id).kind,
        False,
        tuple(_shown(node.args[:1])),
        tuple(_shown([keywords["remedy"]] if "remedy" in keywords else [])),
        place,
    )


def _package_finding(node: ast.Call, place: str) -> Site:
    check, severity, _, message, remedy = node.args
    name, kind = (
        str(one.value) if isinstance(one, ast.Constant) else "" for one in (check, severity)
    )
    return Site(
        name,
        kind,
        True,
        tuple(_shown([message])),
        tuple(_shown([remedy])),
        place,
    )


def _shown(values: Iterable[ast.expr]) -> Iterator[str]:
    """The texts of expressions; what is inserted has its name in braces."""
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.JoinedStr):
            yield "".join(map(_piece, value.values))
        elif isinstance(value, ast.BinOp):
            yield from _shown([value.left])


def _piece(value: ast.expr) -> str:
    if isinstance(value, ast.Constant):
        return str(value.value)
    assert isinstance(value, ast.FormattedValue)
    if isinstance(value.value, ast.Call) and ast.unparse(value.value.func) == "action":
        return f"{{action:{ast.literal_eval(value.value.args[0])}}}"
    return "{" + ast.unparse(value.value).rpartition(".")[2] + "}"
