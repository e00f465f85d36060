"""Throw-away PostgreSQL servers for demonstrations, notebooks and tests.

A server started here belongs to this process: it listens on a free loopback port, keeps its data
in a temporary directory, and is gone when its ``with`` block or the interpreter ends. The binaries
come from the packages of the extra ``pgmigrate[demo]`` or from the machine's own PostgreSQL.

    from pgmigrate.embedded import EmbeddedServer

    with EmbeddedServer(16) as source, EmbeddedServer(18) as target:
        Migration(source=source.conninfo, target=target.conninfo).run()

POSIX only: servers are ended with signals, and as root they run under an unprivileged account.
"""

from pgmigrate.embedded.errors import EmbeddedServerError
from pgmigrate.embedded.installations import find_installations, find_tool
from pgmigrate.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer", "EmbeddedServerError", "find_installations", "find_tool"]
