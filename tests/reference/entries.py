"""The entry of one public name: its signature, what it is for, parameters, errors, members."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import griffe

from reference.public import Member, awaited_twin, bases, is_inlined, members

_WIDTH: Final = 92
_VARIADIC: Final = {
    griffe.ParameterKind.var_positional: "*",
    griffe.ParameterKind.var_keyword: "**",
}
_TITLES: Final = {
    griffe.DocstringSectionKind.parameters: "Parameters",
    griffe.DocstringSectionKind.attributes: "Attributes",
    griffe.DocstringSectionKind.raises: "Raises",
    griffe.DocstringSectionKind.returns: "Returns",
    griffe.DocstringSectionKind.yields: "Yields",
}


@dataclass(frozen=True)
class Entries:
    """Writes entries.

    Args:
        link: makes a name in backticks a link where the page has it; takes the name and the class
            that it is written in.
    """

    link: Callable[[str, str], str]

    def entry(self, title: str, of: griffe.Object) -> list[str]:
        """The lines of a name's entry, headings included."""
        lines = [f"### {title}", "", *_code(_declaration(of.name, of)), ""]
        sections = of.docstring.parsed if of.docstring else []
        within = of.name if isinstance(of, griffe.Class) else ""
        properties = _properties(of) if isinstance(of, griffe.Class) else {}
        has_attributes = False
        for section in sections:
            if section.kind is griffe.DocstringSectionKind.attributes:
                has_attributes = True
                lines += self._attributes(section.value, of, properties, within)
            else:
                lines += self._section(section, within)
        if properties and not has_attributes:
            lines += self._attributes([], of, properties, within)
        if isinstance(of, griffe.Class):
            lines += self._methods(of)
        return lines

    def text(self, docstring: griffe.Docstring | None, within: str = "") -> list[str]:
        """The lines of a docstring by itself, such as a module's."""
        lines: list[str] = []
        for section in docstring.parsed if docstring else []:
            lines += self._section(section, within)
        return lines

    def _methods(self, of: griffe.Class) -> list[str]:
        """The methods of a class; one that is only awaited otherwise stands with its twin."""
        lines = []
        found = members(of)
        for name, method in found.items():
            if not isinstance(method, griffe.Function) or awaited_twin(name, found):
                continue
            title = f"{of.name}.{name}"
            lines += [f"#### {title}", "", *_code(_declaration(title, method)), ""]
            lines += self.text(method.docstring, of.name)
            twin = found.get(f"{name}_async")
            if twin is not None and twin.docstring is not None:
                reported = self._words(" ".join(twin.docstring.value.split()), of.name)
                lines += [f"`{title}_async`: {reported}", ""]
        return lines

    def _section(self, section: griffe.DocstringSection, within: str) -> list[str]:
        kind = section.kind
        if kind is griffe.DocstringSectionKind.text:
            return [*self._words(section.value, within).splitlines(), ""]
        if kind is griffe.DocstringSectionKind.examples:
            return [line for _, example in section.value for line in (*_code(example), "")]
        if kind not in _TITLES:
            raise ValueError(f"no words for a section of {kind.value}: {section.value}")
        lines = [f"{_TITLES[kind]}:", ""]
        for item in section.value:
            lines.append(self._item(item, kind, within))
        return [*lines, ""]

    def _item(
        self, item: griffe.DocstringElement, kind: griffe.DocstringSectionKind, within: str
    ) -> str:
        reported = self._words(" ".join(item.description.split()), within)
        if kind is griffe.DocstringSectionKind.raises:
            return f"- {self.link(str(item.annotation), within)}: {reported}"
        name = getattr(item, "name", "")
        if not name:
            return f"- `{item.annotation}`: {reported}"
        return f"- `{name}`: {reported}"

    def _attributes(
        self,
        reported: list[griffe.DocstringAttribute],
        of: griffe.Object,
        properties: dict[str, griffe.Attribute],
        within: str,
    ) -> list[str]:
        """The attributes that a docstring lists, and the properties that it does not."""
        lines = ["Attributes:", ""]
        for item in reported:
            member = of.all_members.get(item.name)
            annotation = item.annotation or getattr(member, "annotation", None)
            words = self._words(" ".join(item.description.split()), within)
            lines.append(f"- `{item.name}`{_typed(annotation)}: {words}")
        listed = {item.name for item in reported}
        for name, member in properties.items():
            if name not in listed:
                lines.append(
                    f"- `{name}`{_typed(member.annotation)}: {self._brief(member, within)}"
                )
        return [*lines, ""]

    def _brief(self, member: griffe.Attribute, within: str) -> str:
        """A property's docstring in one line."""
        parts = []
        for section in member.docstring.parsed if member.docstring else []:
            if section.kind is griffe.DocstringSectionKind.raises:
                parts += [
                    f"Raises {self.link(str(item.annotation), within)}: {item.description}"
                    for item in section.value
                ]
            else:
                parts.append(section.value)
        return self._words(" ".join(" ".join(parts).split()), within)

    def _words(self, text: str, within: str) -> str:
        """A text with its names as links; blocks of code as they are."""
        linked = []
        for line in text.splitlines():
            if not line.startswith("    "):
                line = line.replace("``", "\0")
                line = re.sub(r"(?<![\[`])`([\w.]+)`(?!`)", lambda m: self.link(m[1], within), line)
                line = line.replace("\0", "`")
            linked.append(line)
        return "\n".join(linked)


def _properties(of: griffe.Class) -> dict[str, griffe.Attribute]:
    found = members(of).items()
    return {name: member for name, member in found if _is_property(member)}  # type: ignore[misc]


def _is_property(member: Member) -> bool:
    """Whether an attribute has a docstring of its own: a property, or a key of a mapping."""
    return isinstance(member, griffe.Attribute) and (
        "property" in member.labels or member.has_docstring
    )


def _typed(annotation: str | griffe.Expr | None) -> str:
    return f" (`{annotation}`)" if annotation is not None else ""


def _code(text: str) -> list[str]:
    return ["```python", *text.splitlines(), "```"]


def _declaration(title: str, of: griffe.Object) -> str:
    """A name as a program would declare it."""
    if isinstance(of, griffe.Function):
        word = "async " if "async" in of.labels else ""
        result = f" -> {of.returns}" if of.returns is not None else ""
        return _call(f"{word}{title}", of.parameters, result)
    if isinstance(of, griffe.Class):
        shown = [str(base) for base in of.bases if _is_reported(of, base)]
        head = f"class {title}({', '.join(shown)})" if shown else f"class {title}"
        if not _is_made_by_callers(of):
            return head
        if not shown:
            return _call(head, of.parameters, "")
        return f"{head}\n{_call(title, of.parameters, '')}"
    assert isinstance(of, griffe.Attribute)
    if of.annotation is not None and str(of.annotation) not in ("TypeAlias", "Final"):
        return f"{title}: {of.annotation}"
    return f"{title} = {of.value}"


def _is_reported(of: griffe.Class, base: str | griffe.Expr) -> bool:
    """Whether a base is worth naming: its members are not listed with the class."""
    path = base if isinstance(base, str) else base.canonical_path
    inlined = {own.path for own in bases(of) if is_inlined(own)}
    return path not in inlined


def _is_made_by_callers(of: griffe.Class) -> bool:
    sections = of.docstring.parsed if of.docstring else []
    return any(section.kind is griffe.DocstringSectionKind.parameters for section in sections)


def _call(name: str, parameters: griffe.Parameters, result: str) -> str:
    parts = list(_parameters(parameters))
    line = f"{name}({', '.join(parts)}){result}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{name}(", *(f"    {part}," for part in parts), f"){result}"])


def _parameters(parameters: griffe.Parameters) -> Iterator[str]:
    starred = False
    for parameter in parameters:
        if parameter.name in ("self", "cls"):
            continue
        stars = _VARIADIC.get(parameter.kind, "")
        if parameter.kind is griffe.ParameterKind.keyword_only and not starred:
            starred = True
            yield "*"
        starred = starred or stars == "*"
        typed = f": {parameter.annotation}" if parameter.annotation is not None else ""
        default = "" if stars or parameter.default is None else f" = {_value(parameter.default)}"
        yield f"{stars}{parameter.name}{typed}{default}"


def _value(default: str | griffe.Expr) -> str:
    """A default; that of a constant's name is its value."""
    if isinstance(default, griffe.ExprName) and isinstance(default.parent, griffe.Object):
        constant = default.parent.module.members.get(default.name)
        if isinstance(constant, griffe.Attribute) and constant.value is not None:
            return str(constant.value)
    return str(default)
