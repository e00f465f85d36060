"""Values of `procedure.env` in what is shown: none is left, and the rest can still be read."""

from __future__ import annotations

import pytest

from pgmigrate._procedure.redaction import HIDDEN_EVERYWHERE, hidden_in_part, hiding


def hidden(text: str, *values: str, short: bool = True) -> str:
    env = {f"V{number}": value for number, value in enumerate(values)}
    return hiding(lambda text: text.replace("hush", "***"), env, short=short)(text)


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        # A long value, and a short one that looks like a secret, wherever they stand.
        ("secret", "xsecretx secret", "x***x ***"),
        ("k3y", "pwk3yx -pk3y K3Y", "pw***x -p*** K3Y"),
        ("p@ss", "xp@ssx", "x***x"),
        ("aBc", "-paBc", "-p***"),
        ("a.c", "a.c abc", "*** abc"),
        ("4711", "pin4711 4711x 147112 4711.", "pin*** ***x 1***2 ***."),
        ("prod", "product of xprod.example", "***uct of x***.example"),
        # A short number that is no part of another one.
        ("471", "pin471 471x 14712 471.", "pin*** ***x 14712 ***."),
        ("1", "1 of 10, t1, x=1 1.5", "*** of 10, t1, x=*** ***.5"),
        # A word that stands by itself.
        ("on", "on=on connection t_on done ON 'on'", "***=*** connection t_*** done ON '***'"),
        ("dev", "device of dev.example", "device of ***.example"),
        ("é", "é été", "*** été"),
        # A sign between what separates words.
        ("/", "cd /; ROOT=/ /usr/bin http://x", "cd ***; ROOT=*** /usr/bin http://x"),
        ("*", "a * b ** c", "a *** b ** c"),
        ("-1", "n=-1 x-1 -10", "n=*** x-1 -10"),
        # What is printed line by line, or without quotes.
        ("first line\nabc1\n", "first line | xabc1", "*** | x***"),
        ("two  words\there", "two words here two  words\there", "*** ***"),
        # What is nothing, and what has a password in it.
        ("", "as it is", "as it is"),
        (" \t\n", "as it  is", "as it  is"),
        ("postgresql://u:hush@h/db", "at postgresql://u:hush@h/db hush", "at *** ***"),
    ],
)
def test_a_value_is_hidden(value: str, text: str, shown: str) -> None:
    assert hidden(text, value) == shown


@pytest.mark.parametrize("glue", ["", "x", "X", "9", "_", "-", "é", "%", "\t"])
@pytest.mark.parametrize(
    "value", ["word", "WORD", "1234", "a1b2", "日本語だ", "-_-_", "é é1", "true"]
)
def test_a_value_of_enough_characters_is_hidden_whatever_stands_next_to_it(
    value: str, glue: str
) -> None:
    assert len(value) >= HIDDEN_EVERYWHERE
    assert hidden(f"a {glue}{value}{glue} b", value) == f"a {glue}***{glue} b"


def test_values_that_are_hidden_in_part_are_named() -> None:
    env = {"A": "on", "B": "dev", "C": "prod", "D": "", "E": " 1 ", "F": "secret"}
    assert hidden_in_part(env) == ("A", "B", "E")


def test_the_longest_value_goes_first() -> None:
    assert hidden("on the long-one, on", "on", "long-one", "one") == "*** the ***, ***"


def test_words_of_pgmigrate_are_hidden_for_long_values_only() -> None:
    assert hidden("exit code 1 of secret", "1", "secret", short=False) == "exit code 1 of ***"
