"""Which process works on a procedure."""

from __future__ import annotations

import os
import socket
from typing import Final

# With the words around it, the name of a session may have 63 bytes.
_LONGEST_HOST: Final = 24


def holder() -> str:
    """This process, as other processes on any machine can find it."""
    host = socket.gethostname().encode("ascii", "replace").decode()[:_LONGEST_HOST]
    return f"process {os.getpid()} on {host}"
