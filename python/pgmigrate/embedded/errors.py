"""The error of throw-away servers."""

from __future__ import annotations


class EmbeddedServerError(RuntimeError):
    """No PostgreSQL installation fits, or a server failed to start or stop."""
