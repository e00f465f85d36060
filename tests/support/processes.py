"""What the system says of processes."""

from __future__ import annotations

from pathlib import Path


def is_there(pid: Path) -> bool:
    """Whether the process whose id a file has still runs."""
    try:
        state = Path(f"/proc/{int(pid.read_text())}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    # A process that has ended and is not waited for yet runs no more.
    return state not in "ZX"
