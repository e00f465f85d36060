"""What a hook takes as a data move, without any server."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

import pytest

from pgmigrate import ConfigError, Migration
from pgmigrate.alembic import PostUpgrade
from pgmigrate.alembic._move import Move, derived

MIGRATION = Migration(
    source="host=a", target="host=b", tables=["s.x"], retries=2, verify=True, jobs=3
)


@pytest.mark.parametrize(
    ("what", "words"),
    [
        (True, "s.x"),
        (["s.t", "s.u"], "s.t, s.u"),
        ({"tables": {"exclude": ["s.t"]}}, "the whole migration"),
        (print, "print"),
    ],
)
def test_what_is_moved_in_words(what: Any, words: str) -> None:
    assert Move(MIGRATION, what).words() == words


@pytest.mark.parametrize("what", ["s.t", False, None, 1, {"tables": "s.t"}, {"colour": 1}])
def test_what_is_no_move_is_refused(what: Any) -> None:
    with pytest.raises(ConfigError):
        PostUpgrade(MIGRATION, on={"head": what})


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_move_is_between_the_hooks_own_databases(side: str) -> None:
    with pytest.raises(ConfigError, match=f"{side}: a data move is between the hook's own"):
        Move(MIGRATION, cast("Any", {side: "host=c"}))


def test_keywords_are_laid_over_the_migrations_own() -> None:
    made = derived(MIGRATION, {"tables": ["s.t"], "options": {"retries": 4}, "format": "text"})
    options = made.config["options"]
    assert (options["retries"], options["verify"], options["format"]) == (4, True, "text")
    assert [rule["name"] for rule in made.config["tables"]["include"]] == ["t"]
    assert MIGRATION.config["options"]["retries"] == 2
    assert made._jobs == 3


def test_without_alembic_the_extra_is_named() -> None:
    code = (
        "import sys; sys.modules['alembic'] = None\n"
        "try:\n    import pgmigrate.alembic\nexcept ModuleNotFoundError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'pgmigrate[alembic]'" in done.stdout
