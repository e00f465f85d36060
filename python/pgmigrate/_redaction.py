"""Taking the values of the variables of `procedure.env` out of what commands print."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

# A shorter one is often a number or a word, and a part of many others.
_LENGTH_OF_A_SECRET: Final = 6
_LENGTH_OF_A_SHORT_SECRET: Final = 3


def hiding(
    hide: Callable[[str], str], env: Mapping[str, str], *, short: bool = True
) -> Callable[[str], str]:
    """What takes the passwords that `hide` knows out of a text, and all values of `env`.

    A value of six characters and more becomes ``***`` wherever it stands, as does a shorter one
    that looks like a secret. What looks like a word or a number, such as ``on``, ``prod`` or ``1``,
    is hidden where it stands by itself: ``mode=***`` and ``t_***``, but ``connection``.

    Args:
        hide: takes the passwords out.
        env: the variables.
        short: whether values of less than six characters are hidden, too. Texts of our own have
            numbers and words that come from no variable.
    """
    found = {value for value in _parts(hide, env) if short or _is_long(value)}
    if not found:
        return hide
    # The longest first, for a short one may be a part of it.
    longest_first = sorted(found, key=lambda value: (-len(value), value))
    pattern = re.compile("|".join(map(_pattern, longest_first)))
    return lambda text: pattern.sub("***", hide(text))


def _is_long(value: str) -> bool:
    return len(value) >= _LENGTH_OF_A_SECRET


def _parts(hide: Callable[[str], str], env: Mapping[str, str]) -> set[str]:
    """The values, and what may be printed of them: their lines, and the rest without passwords."""
    lines = {line for value in env.values() for line in (value, *value.splitlines())}
    found = {known.strip() for line in lines for known in (line, hide(line))}
    return found - {"", "***"}


def _pattern(value: str) -> str:
    # A shell that expands it without quotes has one blank for all that is between two words.
    text = r"\s+".join(map(re.escape, value.split()))
    if _is_long(value):
        return text
    if value.isdecimal() and len(value) >= _LENGTH_OF_A_SHORT_SECRET:
        return rf"(?<!\d){text}(?!\d)"
    if len(value) >= _LENGTH_OF_A_SHORT_SECRET and not _is_word(value):
        return text
    # No letter and no digit is next to one; of a sign, nothing but what separates words is.
    before = r"(?<![^\W_])" if value[0].isalnum() else r"(?<![^\s=:'\"(\[{,;])"
    after = r"(?![^\W_])" if value[-1].isalnum() else r"(?![^\s'\")\]},;])"
    return f"{before}{text}{after}"


def _is_word(value: str) -> bool:
    return value.isalpha() and value in (value.lower(), value.upper(), value.capitalize())
