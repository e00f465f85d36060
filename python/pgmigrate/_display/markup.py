"""Pieces of HTML: text from a database or a user is escaped here, and only here."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

# Neither HTML nor SVG may hold these characters. Unicode has pictures for control characters.
_PICTURES: Final = {
    **{code: 0x2400 + code for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: 0x2421,
    **dict.fromkeys([*range(0x80, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], 0xFFFD),
}


class Html(str):
    """A text that is already HTML."""

    __slots__ = ()


@dataclass(frozen=True)
class Number:
    """A right-aligned cell.

    Attributes:
        text: its text.
        share: the length of a bar before the text, from 0 to 1; no bar if None.
    """

    text: str
    share: float | None = None


class Mark(NamedTuple):
    """How a word such as ``failed`` is shown: with a sign and a colour next to the word."""

    sign: str
    tone: str


Cell = str | Number
"""A table's cell: plain text is escaped, `Html` is not."""

_MARKS: Final = {
    "blocking": Mark("✕", "bad"),
    "warning": Mark("▲", "warn"),
    "info": Mark("i", "info"),
    "done": Mark("✓", "good"),
    "kept": Mark("✓", "good"),
    "ok": Mark("✓", "good"),
    "equal": Mark("✓", "good"),
    "contains_source": Mark("+", "warn"),
    "failed": Mark("✕", "bad"),
    "different": Mark("✕", "bad"),
    "blocked": Mark("⊘", "bad"),
    "interrupted": Mark("■", "warn"),
    "stopped": Mark("■", "warn"),
    "unchecked": Mark("?", "warn"),
    "running": Mark("▶", "info"),
}
_QUIET: Final = Mark("·", "quiet")


def printable(text: str) -> str:
    """Text with a replacement for each character that a page must not hold."""
    return text.translate(_PICTURES)


def escaped(text: str) -> Html:
    """Text as HTML; `Html` stays as it is."""
    if isinstance(text, Html):
        return text
    return Html(html.escape(printable(text)))


def joined(pieces: Iterable[str]) -> Html:
    """The pieces joined into one."""
    return Html("".join(escaped(piece) for piece in pieces))


def element(tag: str, content: str, of: str = "") -> Html:
    """An element, with a class if one is given.

    Args:
        tag: its name.
        content: what is in it.
        of: its classes.
    """
    classes = f' class="{of}"' if of else ""
    return Html(f"<{tag}{classes}>{escaped(content)}</{tag}>")


def mark(word: str, text: str | None = None) -> Html:
    """A status or a severity with its sign.

    Args:
        word: the status or severity.
        text: the text to show; the word itself if None.
    """
    sign, tone = _MARKS.get(word, _QUIET)
    said = escaped(word.replace("_", " ") if text is None else text)
    return Html(f'<span class="pgm-mark pgm-{tone}"><b aria-hidden="true">{sign}</b>{said}</span>')


def bar(share: float, *, is_long: bool = False) -> Html:
    """A bar that is filled to the given share."""
    width = 100 * min(max(share, 0.0), 1.0)
    # A share above zero is always visible.
    width = max(width, 1.0) if share > 0 else 0.0
    of = "pgm-bar pgm-long" if is_long else "pgm-bar"
    return Html(f'<span class="{of}" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>')


def facts(named: Iterable[tuple[str, str]]) -> Html:
    """Figures with their names, side by side."""
    shown = joined(
        element("div", joined([element("dt", name), element("dd", value)])) for name, value in named
    )
    return element("dl", shown, "pgm-facts")


def heading(title: str, mark_: str = "", lead: str = "") -> Html:
    """The first line: the title, the status, and further text."""
    pieces = [element("span", title, "pgm-title"), mark_]
    return element("div", joined([*pieces, element("span", lead, "pgm-lead")]), "pgm-head")


def section(title: str, *content: str, of: str = "") -> Html:
    """A section below a title; empty if it has no content."""
    body = joined(content)
    head = element("h3", title) if title else Html()
    return element("section", joined([head, body]), of) if body else Html()


def note(text: str) -> Html:
    """A line in small letters; empty if there is no text."""
    return element("p", text, "pgm-note") if text else Html()


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    total: Sequence[Cell] | None = None,
    is_words: bool = False,
) -> Html:
    """A table without its empty columns; an empty text if it has no rows.

    Args:
        head: the columns' names.
        rows: its cells.
        total: a last row with the sums of the others.
        is_words: whether it is mostly sentences, and takes the page's width.
    """
    if not rows:
        return Html()
    said = [at for at in range(len(head)) if any(_says(row[at]) for row in rows)]
    names = joined(
        Html(f'<th scope="col"{_of(rows[0][at])}>{escaped(head[at])}</th>') for at in said
    )
    lines = [element("tr", joined(_cell(row[at]) for at in said)) for row in rows]
    if total is not None:
        lines.append(element("tr", joined(_cell(total[at]) for at in said), "pgm-sum"))
    inside = [element("thead", element("tr", names)), element("tbody", joined(lines))]
    of = "pgm-t pgm-words" if is_words else "pgm-t"
    return element("div", element("table", joined(inside), of), "pgm-wide")


def _of(cell: Cell) -> str:
    return ' class="pgm-n"' if isinstance(cell, Number) else ""


def _says(cell: Cell) -> bool:
    return bool(cell.text if isinstance(cell, Number) else cell)


def _cell(cell: Cell) -> Html:
    if not isinstance(cell, Number):
        return element("td", cell)
    if cell.share is None:
        return element("td", cell.text, "pgm-n")
    # The number has a fixed width; otherwise the bars of different rows would not be aligned.
    return element("td", joined([bar(cell.share), element("span", cell.text, "pgm-v")]), "pgm-n")
