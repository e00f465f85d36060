"""How long `import pgmigrate` takes: `python tests/bench import`.

Each measurement is an interpreter of its own. The best one counts: everything else that a machine
does only adds to it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from typing import Final

_ROUNDS: Final = 15
_LIMIT_SECONDS: Final = 0.2
_SHOWN: Final = 5
# microseconds of the module itself, of it with all that it imports, indented name
_LINE: Final = re.compile(r"import time:\s+(\d+) \|\s+(\d+) \|\s+(\S+)")


def main(arguments: Sequence[str]) -> int:
    """Prints the best of some rounds, and what in it took longest.

    Args:
        arguments: how many rounds; 15 without it.

    Returns:
        0 where the best round is below the limit, else 1.
    """
    rounds = int(arguments[0]) if arguments else _ROUNDS
    measured = [_measure() for _ in range(rounds)]
    best = min(measured, key=lambda times: times["pgmigrate"][1])
    seconds = best["pgmigrate"][1] / 1e6
    print(f"import pgmigrate: {seconds:.3f} s, the best of {rounds}; limit {_LIMIT_SECONDS} s")
    longest = sorted(best.items(), key=lambda item: item[1][0], reverse=True)
    for name, (alone, _) in longest[:_SHOWN]:
        print(f"  {alone / 1e6:.3f} s {name}")
    return 0 if seconds < _LIMIT_SECONDS else 1


def _measure() -> dict[str, tuple[int, int]]:
    """Module -> microseconds of it alone, and with all that it imports."""
    # -I: neither the current directory nor the user's packages.
    command = [sys.executable, "-I", "-X", "importtime", "-c", "import pgmigrate"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    # What stands before it is the interpreter's own start.
    lines = done.stderr.rpartition("| site\n")[2]
    return {name: (int(alone), int(whole)) for alone, whole, name in _LINE.findall(lines)}
