"""The texts that a value of the core can have: literals, wherever they are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Final

from reference.rust import (
    Call,
    Expression,
    Function,
    SourceFile,
    Token,
    arguments_of,
    parts_of_tuples,
)

# Words of an inserted expression that do not say what is inserted.
_SMALL: Final = (
    *("self", "display", "join", "word", "sql", "to_string", "as_str", "len", "text", "chain"),
    *("trim_start", "clone", "as_secs", "as_secs_f64", "replace", "iter", "unwrap_or_default"),
)
_COMPARING: Final = (
    *("contains", "starts_with", "ends_with", "split", "strip_prefix", "eq", "is"),
    *("split_once", "rsplit_once", "trim_end_matches"),
    *("find", "filter", "any", "all", "position", "retain", "is_some_and", "is_none_or"),
)
_OF_RUST: Final = ("if", "else", "match", "mut", "ref", "as", "in", "let", "for", "true", "false")
# How far a text is followed through functions and names, and in how many forms it is shown.
_DEPTH: Final = 4
_FORMS: Final = 6
_FINDINGS: Final = ("blocking", "warning", "info")
# Methods and fields whose text another file has: the file, and the function there.
_ELSEWHERE: Final = {
    ("difference", "words"): ("engine/privileges.rs", "words"),
    ("self", "settings"): ("engine/privileges/settings.rs", "differences"),
    ("left", "message"): ("engine/target/foreign_keys.rs", "message"),
}
_PARTS: Final = {"message": 3, "remedy": 4}


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
        # Functions whose parameters are replaced by the arguments of a call.
        self._bound: list[Function] = []

    def texts(self, file: SourceFile, at: int, value: Expression, depth: int = 0) -> list[str]:
        """The literals that a value is made of, wherever they are written."""
        found: list[str] = []
        place = 0
        while place < len(value):
            token = value[place]
            is_macro = token.kind == "word" and token.text.endswith("!")
            if is_macro and place + 1 < len(value) and value[place + 1].text in "([":
                arguments, place = arguments_of(value, place + 1)
                if token.text == "format!":
                    found += self._filled(file, at, arguments, depth)
                elif token.text == "vec!":
                    found += [
                        text for one in arguments for text in self.texts(file, at, one, depth)
                    ]
                continue
            if [one.text for one in value[place : place + 4]] == ["Error", "::", "new", "("]:
                # The text of another error.
                place = arguments_of(value, place + 3)[1]
                continue
            if token.text in ("if", "match", "while"):
                place = _behind_condition(value, place)
                continue
            if token.text == "let" and _is_closure(value[place + 2 : place + 4]):
                # Followed where it is called.
                place = _statement_end(value, place)
                continue
            if token.text in _COMPARING and [t.text for t in value[place + 1 : place + 2]] == ["("]:
                place = arguments_of(value, place + 1)[1]
                continue
            if token.kind == "text":
                before = [one.text for one in value[max(0, place - 2) : place]]
                behind = value[place + 1].text if place + 1 < len(value) else ""
                # What a value is compared with is no text of its own.
                if before not in (["=", "="], ["!", "="]) and behind not in ("=>", "|"):
                    found.append(token.text)
            elif token.text == "Action" and place + 2 < len(value):
                found.append(_action(value[place : place + 4]))
            elif token.kind == "word" and depth < _DEPTH:
                texts, place = self._of_name(file, at, value, place, depth)
                found += texts
                continue
            place += 1
        return list(dict.fromkeys(found))

    def _of_name(
        self, file: SourceFile, at: int, value: Expression, place: int, depth: int
    ) -> tuple[list[str], int]:
        """The texts of a name or of a call, and the place behind it."""
        name = value[place].text
        member = value[place + 2].text if place + 2 < len(value) else ""
        if (name, member) in _ELSEWHERE:
            return self._of_other(*_ELSEWHERE[name, member], depth), place + 3
        before = [token.text for token in value[max(0, place - 2) : place]]
        if place + 1 < len(value) and value[place + 1].text == "(":
            arguments, end = arguments_of(value, place + 1)
            of = self._function(file, name, before)
            texts = [] if of is None else self._of_call(file, at, of, arguments, depth)
            # The arguments of a function that cannot be followed are a part of what it makes.
            return (texts, end) if texts else ([], place + 1)
        # Kinds of objects are no texts.
        if before[-1:] == ["."] or name in _OF_RUST or "kind" in before:
            return [], place + 1
        behind = [token.text for token in value[place + 1 : place + 3]]
        local = file.local(name, at)
        if behind[:1] == ["."] and behind[-1].isdigit() and local is not None:
            parts = parts_of_tuples(local[1], None, int(behind[-1]))
            return self.texts(file, local[0], parts, depth + 1), place + 3
        is_method = [token.text for token in value[place + 3 : place + 4]] == ["("]
        if behind[:1] == ["."] and behind[1:] and behind[1] in _PARTS and not is_method:
            return self._of_finding(file, at, name, behind[1], depth), place + 3
        return self.of_word(file, at, name, depth), place + 1

    def of_word(self, file: SourceFile, at: int, name: str, depth: int = 0) -> list[str]:
        """The texts of a local name, a parameter or a constant."""
        local = file.local(name, at)
        if local is not None:
            return self.texts(file, *local, depth + 1)
        for where in (file, *self.files):
            if name.isupper() and name in where.constants:
                return self.texts(where, 0, where.constants[name], depth + 1)
        receiver = file.closure_around(name, at)
        if receiver is not None:
            return self.texts(file, at, receiver, depth + 1)
        around = file.enclosing(at)
        if around is None or around in self._bound or name == "self":
            return []
        if name in around.parameters:
            return self._of_callers(file, around, around.parameters.index(name), depth)
        return []

    def _of_call(
        self,
        file: SourceFile,
        at: int,
        of: tuple[SourceFile, Function],
        arguments: Sequence[Expression],
        depth: int,
    ) -> list[str]:
        """The texts of a function, with those of its arguments in place of its parameters."""
        where, function = of
        self._bound.append(function)
        body = where.tokens[function.begin : function.end]
        texts = self.texts(where, function.begin, body, depth + 1)
        self._bound.pop()
        names = [name for name in function.parameters if name != "self"]
        for name, value in zip(names, arguments, strict=False):
            if any(f"{{{name}}}" in text for text in texts):
                given = self.texts(file, at, value, depth + 1)
                is_text = len(value) == 1 or all(" " in one for one in given)
                if 0 < len(given) <= _FORMS and is_text:
                    texts = [text.replace(f"{{{name}}}", one) for text in texts for one in given]
        return list(dict.fromkeys(texts))

    def _of_callers(
        self, file: SourceFile, function: Function, position: int, depth: int
    ) -> list[str]:
        """The texts that a parameter gets where its function is called."""
        found: list[str] = []
        if depth < _DEPTH:
            for call, arguments in self.callers(file, function):
                value = arguments[function.parameters[position]]
                found += self.texts(call.file, call.at, value, depth + 1)
        return list(dict.fromkeys(found))

    def callers(
        self, file: SourceFile, function: Function
    ) -> Iterator[tuple[Call, Mapping[str, Expression]]]:
        """The calls of a function, with its parameters' arguments."""
        names = [name for name in function.parameters if name != "self"]
        is_method = len(names) < len(function.parameters)
        for where in self.files if function.is_public else [file]:
            if where is not file and not (is_method or _names(where, function.name)):
                continue
            for call in where.calls(function.name, methods=is_method):
                if len(call.arguments) == len(names):
                    yield call, dict(zip(names, call.arguments, strict=True))

    def _of_finding(self, file: SourceFile, at: int, name: str, part: str, depth: int) -> list[str]:
        """The message or the remedy of a finding that a function has made."""
        local = file.local(name, at)
        if local is None:
            return []
        _, value = local
        for place, token in enumerate(value):
            if token.kind == "word" and [one.text for one in value[place + 1 : place + 2]] == ["("]:
                before = [one.text for one in value[max(0, place - 2) : place]]
                of = self._function(file, token.text, before)
                if of is not None:
                    return self._of_made(*of, part, depth)
        return []

    def _of_other(self, path: str, name: str, depth: int) -> list[str]:
        (where,) = (one for one in self.files if one.path == path)
        (function,) = (one for one in where.functions if one.name == name)
        return self._of_call(where, function.begin, (where, function), (), depth)

    def _of_made(self, where: SourceFile, function: Function, part: str, depth: int) -> list[str]:
        found: list[str] = []
        for call in [
            *where.calls("Finding", "new"),
            *(call for name in _FINDINGS for call in where.calls(name)),
        ]:
            if function.begin <= call.at < function.end:
                is_new = len(call.arguments) == 5
                value = call.arguments[_PARTS[part] - (not is_new)]
                found += self.texts(where, call.at, value, depth + 1)
        return found

    def _function(
        self, file: SourceFile, name: str, before: Sequence[str]
    ) -> tuple[SourceFile, Function] | None:
        """The function that a call names: of the same file, of `self`, or of a module."""
        places = [file]
        before = [text for text in before if text in ("::", ".") or text[:1].isalpha()]
        if before[-1:] not in (["::"], ["."]):
            before = []
        if before[-1:] == ["::"] and before[0] not in ("self", "Self"):
            places = [one for one in self.files if Path(one.path).stem == before[0]]
        elif before[-1:] == ["."] and before[:1] != ["self"]:
            return None
        for where in places:
            found = [one for one in where.functions if one.name == name]
            if len(found) == 1:
                return where, found[0]
        if not before and _names(file, name):
            named = [(one, of) for one in self.files for of in one.functions if of.name == name]
            of_module = [one for one in named if _is_of_import(file, name, one[0])]
            named = of_module or named
            return named[0] if len(named) == 1 else None
        return None

    def _filled(
        self, file: SourceFile, at: int, arguments: tuple[Expression, ...], depth: int
    ) -> list[str]:
        """The texts of a ``format!``: what it inserts, or its name in braces."""
        text = "".join(token.text for token in arguments[0] if token.kind == "text")
        # An argument with a name is for a place with that name.
        named = {one[0].text: one[2:] for one in arguments[1:] if _is_named(one)}
        inserted = iter([one for one in arguments[1:] if not _is_named(one)])
        pieces: list[list[str]] = []
        last = 0
        for found in re.finditer(r"\{\{|\}\}|\{(\w*)(?::[^}]*)?\}", text):
            pieces.append([text[last : found.start()]])
            last = found.end()
            if found[0] in ("{{", "}}"):
                pieces.append([found[0][0]])
            elif found[1] and not found[1].isdigit():
                name = [Token("word", found[1], 0)]
                pieces.append(self._inserted(file, at, named.get(found[1], name), depth))
            elif found[1]:
                pieces.append(self._inserted(file, at, arguments[1 + int(found[1])], depth))
            else:
                pieces.append(self._inserted(file, at, next(inserted, ()), depth))
        pieces.append([text[last:]])
        forms = 1
        for piece in pieces:
            forms *= len(piece)
        if forms > _FORMS:
            pieces = [piece if len(piece) == 1 else [_or(piece)] for piece in pieces]
        return ["".join(form) for form in product(*pieces)]

    def _inserted(self, file: SourceFile, at: int, value: Expression, depth: int) -> list[str]:
        if [token.text for token in value[:2]] == ["Action", "::"]:
            return [_action(value)]
        is_number = any(token.text in ("len", "count") for token in value[-4:])
        is_followed = depth < _DEPTH and not is_number
        texts = self.texts(file, at, value, depth + 1) if is_followed else []
        # A word or two are no text that needs to be read, and a long list is one of names.
        is_prose = all(re.search(r"[a-z] [a-z{]", text) for text in texts)
        return texts if is_prose and 0 < len(texts) <= 3 else [shown(value)]


def _is_closure(value: Expression) -> bool:
    words = [token.text for token in value]
    return words[:1] == ["="] and words[1:] in (["|"], ["move"])


def _statement_end(value: Expression, at: int) -> int:
    depth = 0
    for place in range(at, len(value)):
        text = value[place].text if value[place].kind == "other" else ""
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        if depth == 0 and text == ";":
            return place
    return len(value)


def _behind_condition(value: Expression, at: int) -> int:
    """The place of the bracket behind what decides, which is no text of its own."""
    depth = 0
    for place in range(at + 1, len(value)):
        text = value[place].text if value[place].kind == "other" else ""
        if depth == 0 and text in ("{", "=>"):
            return place
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
    return len(value)


def shown(value: Expression) -> str:
    """The name of what an expression inserts, in braces."""
    words = [token.text for token in value if token.kind == "word" and token.text not in _OF_RUST]
    plain = [word for word in words if word not in _SMALL] or words
    return "{" + (plain[-1] if plain else "...") + "}"


def _or(texts: Iterable[str]) -> str:
    return "{" + " | ".join(texts) + "}"


def _is_named(argument: Expression) -> bool:
    return len(argument) > 2 and argument[0].kind == "word" and argument[1].text == "="


def _names(file: SourceFile, name: str) -> bool:
    """Whether a file imports a function, or names it by its module."""
    return name in file.named


def _is_of_import(file: SourceFile, name: str, where: SourceFile) -> bool:
    found = re.search(rf"^use ([^;]*)::\{{?[^;]*\b{name}\b", file.source, re.M)
    return found is not None and found[1].rpartition("::")[2] == Path(where.path).stem


def _action(value: Expression) -> str:
    name = re.sub(r"(?<!^)([A-Z])", r"_\1", value[2].text).lower()
    # A value, such as that of `Jobs`, depends on the case.
    return f"{{action:{name} N}}" if len(value) > 3 else f"{{action:{name}}}"
