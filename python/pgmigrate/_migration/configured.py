"""A migration without its verbs: a checked configuration, and the calls into the core."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from pgmigrate import _native
from pgmigrate._bridge.job import do, do_async
from pgmigrate._bridge.keywords import spelled_out
from pgmigrate._bridge.options import from_keywords, read_documents
from pgmigrate._values.options import (
    Connection,
    Options,
    Parallel,
    Procedure,
    Roles,
    RolesMode,
    Schemas,
    TableRule,
    Tables,
)
from pgmigrate.errors import ConfigError, PgMigrateError
from pgmigrate.events import OnEvent

if TYPE_CHECKING:
    from typing_extensions import Unpack

# Hosts, ports and a database. Any other character may belong to a whole conninfo, password
# included, that was pasted into one part of another conninfo.
_PLACE: Final = re.compile(r"@?[\w./:,\[\]-]+")

Self = TypeVar("Self", bound="Configured")


class Configured:
    """A checked configuration of one migration; `Migration` documents the arguments."""

    name: str
    config: dict[str, Any]

    @spelled_out(Options)
    def __init__(
        self,
        *,
        source: str | Connection | None = None,
        target: str | Connection | None = None,
        schemas: Schemas | Sequence[str] | None = None,
        tables: Tables | Sequence[str | TableRule] | None = None,
        roles: Roles | RolesMode | None = None,
        options: Options | None = None,
        parallel: Parallel | None = None,
        procedure: Procedure | None = None,
        name: str | None = None,
        jobs: int | None = None,
        **flat: Unpack[Options],
    ) -> None:
        sections = {
            "name": name,
            "source": source,
            "target": target,
            "schemas": schemas,
            "tables": tables,
            "roles": roles,
            "parallel": parallel,
            "options": options,
            "procedure": procedure,
        }
        self._check(from_keywords(sections, flat), jobs=jobs)

    def _check(self, options: dict[str, Any], *, jobs: int | None = None) -> None:
        self.config = _native.config(options)
        self.name = self.config["name"]
        self._options = options
        self._jobs = jobs

    @classmethod
    def _from_options(cls: type[Self], options: dict[str, Any]) -> Self:
        migration = cls.__new__(cls)
        migration._check(options)
        return migration

    @classmethod
    def from_file(cls: type[Self], path: str | os.PathLike[str]) -> Self:
        """The migration that a config file describes.

        Args:
            path: a ``.yaml``, ``.yml`` or ``.json`` file.

        Raises:
            ConfigError: the file cannot be read, something in it is wrong, or it describes several
                migrations.
        """
        migrations = cls.load_all(path)
        if len(migrations) != 1:
            raise ConfigError(
                f"{os.fspath(path)} describes {len(migrations)} migrations, not one",
                name="several_migrations",
                remedy="use Migration.load_all",
            )
        return migrations[0]

    @classmethod
    def load_all(cls: type[Self], path: str | os.PathLike[str]) -> list[Self]:
        """All migrations that a config file describes, in its order.

        Args:
            path: a ``.yaml``, ``.yml`` or ``.json`` file.

        Raises:
            ConfigError: the file cannot be read, or something in it is wrong; ``problems`` lists
                the mistakes of all its migrations.
        """
        return [cls._from_options(options) for options in read_documents(path)]

    def __repr__(self) -> str:
        try:
            places = _native.places(self._options)
        except PgMigrateError:
            # An environment variable, or a service file, has been removed since.
            places = {}
        shown = {"name": self.name} if self.name else {}
        shown |= {side: _harmless(places.get(side)) for side in ("source", "target")}
        return f"Migration({', '.join(f'{key}={value!r}' for key, value in shown.items())})"

    def _jobs_or(self, jobs: int | None) -> int | None:
        return self._jobs if jobs is None else jobs

    def _do(self, verb: str, settings: Mapping[str, Any], on_event: OnEvent | None) -> Any:
        return do(verb, self._options, settings, on_event)

    async def _do_async(
        self, verb: str, settings: Mapping[str, Any], on_event: OnEvent | None
    ) -> Any:
        return await do_async(verb, self._options, settings, on_event)


def _harmless(place: str | None) -> str:
    """A database as ``host:port/database``, if nothing in it can be a password."""
    return place if place is not None and _PLACE.fullmatch(place) else "***"
