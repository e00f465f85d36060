"""The core's source: its tokens, functions with their parameters, calls with their arguments.

This is no parser of Rust: it knows tokens, brackets, functions, closures, constants and ``let``.
That is enough for `values`, which follows the texts of messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
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

    def calls(self, *path: str, methods: bool = False) -> Iterator[Call]:
        """The calls of a function by the end of its path, such as ``Error``, ``new``.

        Args:
            path: the path.
            methods: also find it as a method of any value.
        """
        wanted = [part for name in path for part in (name, "::")][:-1]
        for at in self._places.get(wanted[0], ()):
            if [token.text for token in self.tokens[at : at + len(wanted)]] != wanted:
                continue
            behind = at + len(wanted)
            before = [token.text for token in self.tokens[max(0, at - 2) : at]]
            # Two dots take over the fields of the value behind them.
            is_method = before[-1:] == ["."] and before != [".", "."]
            is_meant = methods or not is_method
            if self.tokens[behind].text == "(" and before[-1:] != ["fn"] and is_meant:
                arguments, end = self.arguments(behind)
                yield Call(self, at, arguments, end)

    @cached_property
    def named(self) -> frozenset[str]:
        """What the file imports, and the functions that it names by their module."""
        imports = re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?use ([^;]*);", self.source, re.M)
        words = re.findall(r"\w+", " ".join(imports))
        return frozenset([*words, *re.findall(r"::(\w+)\(", self.source)])

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """Where each word is."""
        found: dict[str, list[int]] = {}
        for at, token in enumerate(self.tokens):
            if token.kind == "word":
                found.setdefault(token.text, []).append(at)
        return found

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
        """The value of the last ``let`` of a name before a token, in the same function.

        A name in a pattern of several has its part of every tuple of that size in the value.
        """
        function = self.enclosing(at)
        begin = 0 if function is None else function.begin
        outer = [one.begin for one in self.functions if one.begin <= at < one.end]
        first = min([begin, *outer])
        for place in reversed(self._places.get("let", ())):
            if not first < place <= at:
                continue
            equals = next(i for i in range(place, len(self.tokens)) if self.tokens[i].text in "=;")
            pattern = self.tokens[place + 1 : equals]
            is_condition = self.tokens[place - 1].text in ("if", "while", "&")
            is_refutable = pattern[0].text in ("Some", "Ok")
            value = self._value(equals, "{" if is_condition else "else" if is_refutable else ";")
            names = [token.text for token in pattern if token.kind == "word"]
            if name not in names or ":" in [token.text for token in pattern[:1]]:
                continue
            if pattern[0].text == "(":
                parts, _ = arguments_of(pattern, 0)
                at_part = [i for i, one in enumerate(parts) if name in [t.text for t in one]]
                if at_part:
                    return equals, parts_of_tuples(value, len(parts), at_part[0])
            elif name in names[:3]:
                return equals, value
        return None

    def _value(self, equals: int, end: str) -> Expression:
        """The tokens behind an equals sign, up to another one or the statement's end.

        Args:
            equals: where the equals sign is.
            end: the token that ends them.
        """
        value = self.tokens[equals + 1 : self._statement_end(equals)]
        depth = 0
        for place, token in enumerate(value):
            if depth == 0 and token.text == end and token.kind in ("other", "word"):
                return value[:place]
            if token.kind == "other":
                depth += (token.text in _OPEN) - (token.text in _OPEN.values())
                if depth < 0:
                    return value[:place]
        return value

    def assigned(self, at: int, name: str) -> list[Expression]:
        """The values that a field of that name gets, in the function around a token."""
        around = self.enclosing(at)
        if around is None:
            return []
        found: list[Expression] = []
        for place in range(around.begin, around.end - 2):
            words = [token.text for token in self.tokens[place : place + 3]]
            if words == [".", name, "="] and self.tokens[place + 3].text != "=":
                found.append(self.tokens[place + 3 : self._statement_end(place + 2)])
        return found

    def receiver(self, at: int) -> Expression:
        """The expression on which the method at a token is called."""
        depth, place = 0, at - 2
        while place >= 0:
            token = self.tokens[place]
            is_mark = token.kind == "other"
            depth += (is_mark and token.text in _OPEN.values()) - (is_mark and token.text in _OPEN)
            is_end = is_mark and token.text in (";", "=", ",", "=>", "}", "{")
            if depth < 0 or (depth == 0 and (is_end or token.text == "let")):
                break
            place -= 1
        return self.tokens[place + 1 : at - 1]

    def closure_around(self, name: str, at: int) -> Expression | None:
        """For a parameter of a closure around a token: what the closure's method is called on."""
        depth = 0
        for place in range(at - 1, 1, -1):
            token = self.tokens[place]
            if token.kind != "other":
                continue
            depth += (token.text in _OPEN.values()) - (token.text in _OPEN)
            if depth < 0 and token.text == "(":
                depth = 0
                inner = self.tokens[place + 1 : place + 20]
                begin = 1 if inner[0].text == "move" else 0
                if inner[begin].text != "|":
                    continue
                ends = [i for i in range(begin + 1, len(inner)) if inner[i].text == "|"]
                if ends and name in [token.text for token in inner[begin : ends[0]]]:
                    return self.receiver(place - 1)
            elif depth < 0:
                depth = 0
                if token.text == "{" and self.tokens[place - 1].text not in ("|", "=>", "else"):
                    continue
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


def parts_of_tuples(value: Expression, size: int | None, at: int) -> Expression:
    """The parts at one place of all tuples of a size, or of any size, in a value."""
    found: list[Token] = []
    for place, token in enumerate(value):
        before = value[place - 1] if place else Token("other", "=", 0)
        is_call = before.kind == "word" or before.text in (")", "]")
        if token.kind == "other" and token.text == "(" and not is_call:
            parts, _ = arguments_of(value, place)
            if len(parts) == size or (size is None and at < len(parts) > 1):
                found += parts[at]
                found.append(Token("other", ",", token.line))
    return found


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


def _value(literal: str) -> str:
    joined = re.sub(r"\\\n\s*", "", literal)
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), joined)
