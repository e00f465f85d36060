"""The name of the process that works on a procedure."""

from __future__ import annotations

import os
import socket
from typing import Final

# The name of a session, which contains this text, may have 63 bytes.
_LONGEST_HOST: Final = 24


def holder() -> str:
    """The name by which processes on any machine can identify this process."""
    host = socket.gethostname().encode("ascii", "replace").decode()[:_LONGEST_HOST]
    return f"process {os.getpid()} on {host}"
