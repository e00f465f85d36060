"""What the core's source says: calls with their arguments, and the texts that a value is made of.

This is no parser of Rust: it knows tokens, brackets, functions with their parameters, constants
and ``let``. That is enough for messages: literals, ``format!`` of them, or names of either.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final

_TOKEN: Final = re.compile(
    r"""(?P<comment>//[^\n]*|/\*.*?\*/)"""
    r"""|(?P<raw>b?r(?P<hashes>\#*)"(?P<inner>.*?)"(?P=hashes))"""
    r"""|(?P<text>b?"(?:\\.|[^"\\])*")"""
    r"""|(?P<char>b?'(?:\\(?:u\{[^}]*\}|.)|[^\\'\n])')"""
    r"""|(?P<word>[A-Za-z_]\w*!?)"""
    r"""|(?P<other>::|->|=>|[^\s])""",
    re.S,
)
_ESCAPES: Final = {"n": "\n", "t": "\t", '"': '"', "\\": "\\", "'": "'"}
_OPEN: Final = {"(": ")", "[": "]", "{": "}"}
# Words of an inserted expression that do not say what is inserted.
_SMALL: Final = ("self", "display", "join", "word", "sql", "to_string", "as_str", "len", "text")
# How far a text is followed through functions and names.
_DEPTH: Final = 3


@dataclass(frozen=True)
class Token:
    """A token of the source; `text` is a literal's value."""

    kind: str
    text: str
    line: int


Expression = Sequence[Token]


@dataclass(frozen=True)
class Function:
    """A function, or a closure that has a name."""

    name: str
    parameters: tuple[str, ...]
    begin: int
    end: int
    is_public: bool = False


@dataclass(frozen=True)
class Call:
    """A call: what is called, its arguments, and the methods that are called on its result."""

    file: SourceFile
    at: int
    arguments: tuple[Expression, ...]
    after: int

    @property
    def line(self) -> int:
        """Its line in the file."""
        return self.file.tokens[self.at].line

    def methods(self) -> Iterator[tuple[str, tuple[Expression, ...]]]:
        """The methods of the chain behind it, with their arguments."""
        at, tokens = self.after, self.file.tokens
        while at + 2 < len(tokens) and tokens[at].text == "." and tokens[at + 2].text == "(":
            arguments, end = self.file.arguments(at + 2)
            yield tokens[at + 1].text, arguments
            at = end


@dataclass
class SourceFile:
    """A file of the core, without its tests."""

    path: str
    source: str
    tokens: list[Token] = field(init=False)

    def __post_init__(self) -> None:
        text = self.source.split("#[cfg(test)]\nmod tests {")[0]
        self.tokens = []
        line, last = 1, 0
        for found in _TOKEN.finditer(text):
            line += text.count("\n", last, found.start())
            last = found.start()
            kind = found.lastgroup if found["raw"] is None else "raw"
            if kind == "text":
                self.tokens.append(Token("text", _value(found[0].lstrip("b")[1:-1]), line))
            elif kind == "raw":
                self.tokens.append(Token("text", found["inner"], line))
            elif kind != "comment":
                self.tokens.append(Token(kind or "other", found[0], line))

    def calls(self, *path: str) -> Iterator[Call]:
        """The calls of a function by the end of its path, such as ``Error``, ``new``."""
        wanted = [part for name in path for part in (name, "::")][:-1]
        for at in range(len(self.tokens) - len(wanted)):
            if [token.text for token in self.tokens[at : at + len(wanted)]] != wanted:
                continue
            behind = at + len(wanted)
            before = [token.text for token in self.tokens[max(0, at - 2) : at]]
            # Two dots take over the fields of the value behind them.
            is_method = before[-1:] == ["."] and before != [".", "."]
            if self.tokens[behind].text == "(" and before[-1:] != ["fn"] and not is_method:
                arguments, end = self.arguments(behind)
                yield Call(self, at, arguments, end)

    def arguments(self, at: int) -> tuple[tuple[Expression, ...], int]:
        """`arguments_of` the file's tokens."""
        return arguments_of(self.tokens, at)

    @cached_property
    def functions(self) -> list[Function]:
        """The functions of the file, and the closures with names."""
        found = []
        for at, token in enumerate(self.tokens[:-1]):
            if token.text == "fn" and self.tokens[at + 1].kind == "word":
                found.append(self._function(at))
            elif token.text == "let" and self._is_closure(at):
                found.append(self._closure(at))
        return found

    def enclosing(self, at: int) -> Function | None:
        """The innermost function around a token."""
        around = [one for one in self.functions if one.begin <= at < one.end]
        return max(around, key=lambda one: one.begin, default=None)

    def _function(self, at: int) -> Function:
        opening = next(i for i in range(at, len(self.tokens)) if self.tokens[i].text == "(")
        arguments, end = self.arguments(opening)
        names = tuple(
            next((token.text for token in one if token.kind == "word" and token.text != "mut"), "")
            for one in arguments
        )
        body = next(i for i in range(end, len(self.tokens)) if self.tokens[i].text in "{;")
        last = self.arguments(body)[1] if self.tokens[body].text == "{" else body
        before = [token.text for token in self.tokens[max(0, at - 5) : at]]
        return Function(self.tokens[at + 1].text, names, body, last, "pub" in before)

    def _is_closure(self, at: int) -> bool:
        words = [token.text for token in self.tokens[at : at + 6]]
        return "=" in words and words.index("=") + 1 < 6 and words[words.index("=") + 1] == "|"

    def _closure(self, at: int) -> Function:
        equals = next(i for i in range(at, at + 6) if self.tokens[i].text == "=")
        end = next(i for i in range(equals + 2, len(self.tokens)) if self.tokens[i].text == "|")
        inner = self.tokens[equals + 2 : end]
        names = tuple(
            token.text
            for before, token in zip([Token("other", ",", 0), *inner], inner, strict=False)
            if before.text == "," and token.kind == "word"
        )
        return Function(self.tokens[equals - 1].text, names, end, self._statement_end(end))

    def _statement_end(self, at: int) -> int:
        depth = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.kind == "other":
                depth += (token.text in _OPEN) - (token.text in _OPEN.values())
                if depth < 0 or (depth == 0 and token.text == ";"):
                    return at
            at += 1
        return at

    def local(self, name: str, at: int) -> tuple[int, Expression] | None:
        """The value of the last ``let`` of a name before a token, in the same function."""
        function = self.enclosing(at)
        begin = 0 if function is None else function.begin
        outer = [one.begin for one in self.functions if one.begin <= at < one.end]
        for place in range(at, min([begin, *outer]), -1):
            words = [token.text for token in self.tokens[place : place + 4]]
            if words[:1] != ["let"] or name not in words[1:3]:
                continue
            equals = next(i for i in range(place, len(self.tokens)) if self.tokens[i].text in "=;")
            return equals, self.tokens[equals + 1 : self._statement_end(equals)]
        return None

    @cached_property
    def constants(self) -> dict[str, Expression]:
        """The constants of the file."""
        found: dict[str, Expression] = {}
        for at, token in enumerate(self.tokens):
            if token.text in ("const", "static"):
                end = self._statement_end(at)
                equals = [i for i in range(at, end) if self.tokens[i].text == "="]
                if equals:
                    found[self.tokens[at + 1].text] = self.tokens[equals[0] + 1 : end]
        return found


class Core:
    """All files of the core.

    Args:
        folder: the folder of its source.
    """

    def __init__(self, folder: Path) -> None:
        paths = [path for path in sorted(folder.rglob("*.rs")) if path.name != "tests.rs"]
        self.files = [
            SourceFile(str(path.relative_to(folder)), path.read_text(encoding="utf-8"))
            for path in paths
        ]

    def texts(self, file: SourceFile, at: int, value: Expression, depth: int = 0) -> list[str]:
        """The literals that a value is made of, wherever they are written."""
        found: list[str] = []
        place = 0
        while place < len(value):
            token = value[place]
            if token.text == "format!":
                arguments, place = arguments_of(value, place + 1)
                found.append(_filled(arguments))
                continue
            if token.kind == "text":
                found.append(token.text)
            elif token.text == "Action" and place + 2 < len(value):
                found.append(_action(value[place : place + 4]))
            elif token.kind == "word" and depth < _DEPTH:
                found += self._of_name(file, at, value, place, depth)
            place += 1
        return found

    def _of_name(
        self, file: SourceFile, at: int, value: Expression, place: int, depth: int
    ) -> list[str]:
        name = value[place].text
        before = [token.text for token in value[max(0, place - 2) : place]]
        is_call = place + 1 < len(value) and value[place + 1].text == "("
        if is_call:
            of = self._function(file, name, before)
            if of is None:
                return []
            where, function = of
            body = where.tokens[function.begin : function.end]
            return self.texts(where, function.begin, body, depth + 1)
        if before[-1:] == ["."]:
            return []
        local = file.local(name, at)
        if local is not None:
            return self.texts(file, *local, depth + 1)
        for where in (file, *self.files):
            if name.isupper() and name in where.constants:
                return self.texts(where, 0, where.constants[name], depth + 1)
        return []

    def _function(
        self, file: SourceFile, name: str, before: Sequence[str]
    ) -> tuple[SourceFile, Function] | None:
        """The function that a call names: of the same file, of `self`, or of a module."""
        places = [file]
        before = [text for text in before if text in ("::", ".") or text[:1].isalpha()]
        if before[-1:] not in (["::"], ["."]):
            before = []
        if before[-1:] == ["::"]:
            places = [one for one in self.files if Path(one.path).stem == before[0]]
        elif before[-1:] == ["."] and before[:1] != ["self"]:
            return None
        for where in places:
            found = [one for one in where.functions if one.name == name]
            if len(found) == 1:
                return where, found[0]
        if not before and re.search(rf"^use [^;]*\b{name}\b", file.source, re.M):
            named = [(one, of) for one in self.files for of in one.functions if of.name == name]
            return named[0] if len(named) == 1 else None
        return None


def arguments_of(tokens: Expression, at: int) -> tuple[tuple[Expression, ...], int]:
    """The arguments within the brackets that open at a token, and the place behind them."""
    found: list[list[Token]] = [[]]
    depth, at = 1, at + 1
    while depth:
        token = tokens[at]
        is_mark = token.kind == "other"
        depth += (is_mark and token.text in _OPEN) - (is_mark and token.text in _OPEN.values())
        if depth == 1 and is_mark and token.text == ",":
            found.append([])
        elif depth:
            found[-1].append(token)
        at += 1
    return tuple(one for one in found if one), at


def _filled(arguments: tuple[Expression, ...]) -> str:
    """The text of a ``format!``, with the names of what it inserts in braces."""
    text = "".join(token.text for token in arguments[0] if token.kind == "text")
    inserted = iter(arguments[1:])
    return re.sub(r"\{\}|\{:[^}]*\}", lambda _: _shown(next(inserted, ())), text)


def _shown(value: Expression) -> str:
    if [token.text for token in value[:2]] == ["Action", "::"]:
        return _action(value)
    words = [token.text for token in value if token.kind == "word"]
    plain = [word for word in words if word not in _SMALL]
    return "{" + (plain[-1] if plain else "...") + "}"


def _action(value: Expression) -> str:
    name = re.sub(r"(?<!^)([A-Z])", r"_\1", value[2].text).lower()
    # A value, such as that of `Jobs`, depends on the case.
    return f"{{action:{name} N}}" if len(value) > 3 else f"{{action:{name}}}"


def _value(literal: str) -> str:
    joined = re.sub(r"\\\n\s*", "", literal)
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), joined)
