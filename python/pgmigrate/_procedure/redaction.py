"""Redacting the values of the variables of `procedure.env` in what commands print."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

# A shorter value is often a number or a word that is part of most lines: without it, the lines
# would be useless.
HIDDEN_EVERYWHERE: Final = 4
_LENGTH_OF_A_SHORT_SECRET: Final = 3
# In this package's own texts shorter values are parts of ordinary words, as `data` of `database`.
_LONG: Final = 6


def hiding(
    hide: Callable[[str], str], env: Mapping[str, str], *, short: bool = True
) -> Callable[[str], str]:
    """Returns a function that redacts the passwords that `hide` knows, and all values of `env`.

    A value of four or more characters is replaced by ``***`` everywhere, as is one of three that
    looks like a secret. A shorter one, such as ``on``, ``dev`` or ``1``, is replaced only as a
    separate word: ``mode=***`` and ``t_***``, but ``connection``. `hidden_in_part` lists those.

    Args:
        hide: redacts the passwords.
        env: the variables.
        short: whether values of less than six characters are redacted, too. pgmigrate's own texts
            have numbers and words that come from no variable.
    """
    found = {value for value in _parts(hide, env) if short or len(value) >= _LONG}
    if not found:
        return hide
    # The longest first, because a short one may be a part of it.
    longest_first = sorted(found, key=lambda value: (-len(value), value))
    pattern = re.compile("|".join(map(_pattern, longest_first)))
    return lambda text: pattern.sub("***", hide(text))


def hidden_in_part(env: Mapping[str, str]) -> tuple[str, ...]:
    """The variables whose values are too short to be redacted everywhere."""
    return tuple(name for name, value in env.items() if 0 < len(value.strip()) < HIDDEN_EVERYWHERE)


def _parts(hide: Callable[[str], str], env: Mapping[str, str]) -> set[str]:
    """The values, and the parts of them that may be printed: lines, and text without passwords."""
    lines = {line for value in env.values() for line in (value, *value.splitlines())}
    found = {known.strip() for line in lines for known in (line, hide(line))}
    return found - {"", "***"}


def _pattern(value: str) -> str:
    # A shell that expands it without quotes puts one blank between two words.
    text = r"\s+".join(map(re.escape, value.split()))
    if len(value) >= HIDDEN_EVERYWHERE:
        return text
    if value.isdecimal() and len(value) >= _LENGTH_OF_A_SHORT_SECRET:
        return rf"(?<!\d){text}(?!\d)"
    if len(value) >= _LENGTH_OF_A_SHORT_SECRET and not _is_word(value):
        return text
    # A word must have no letter or digit next to it; other signs must stand between separators.
    before = r"(?<![^\W_])" if value[0].isalnum() else r"(?<![^\s=:'\"(\[{,;])"
    after = r"(?![^\W_])" if value[-1].isalnum() else r"(?![^\s'\")\]},;])"
    return f"{before}{text}{after}"


def _is_word(value: str) -> bool:
    return value.isalpha() and value in (value.lower(), value.upper(), value.capitalize())
