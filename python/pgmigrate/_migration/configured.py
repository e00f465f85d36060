"""What a migration is before it does anything: a checked configuration, and a way to the core."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pgmigrate import _native
from pgmigrate._bridge.job import OnEvent, do, do_async
from pgmigrate._bridge.options import from_keywords, read_documents
from pgmigrate.errors import ConfigError

Self = TypeVar("Self", bound="Configured")


class Configured:
    """A checked configuration of one migration; `Migration` documents the arguments."""

    name: str
    config: dict[str, Any]

    def __init__(
        self,
        *,
        source: str | Mapping[str, object] | None = None,
        target: str | Mapping[str, object] | None = None,
        schemas: Sequence[str] | Mapping[str, object] | None = None,
        tables: Sequence[str | Mapping[str, object]] | Mapping[str, object] | None = None,
        roles: str | Mapping[str, object] | None = None,
        options: Mapping[str, object] | None = None,
        parallel: Mapping[str, object] | None = None,
        procedure: Mapping[str, object] | None = None,
        name: str | None = None,
        jobs: int | None = None,
        **flat: object,
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
        named = f"name={self.name!r}, " if self.name else ""
        return f"Migration({named}source='***', target='***')"

    def _jobs_or(self, jobs: int | None) -> int | None:
        return self._jobs if jobs is None else jobs

    def _do(self, verb: str, settings: Mapping[str, Any], on_event: OnEvent | None) -> Any:
        return do(verb, self._options, settings, on_event)

    async def _do_async(
        self, verb: str, settings: Mapping[str, Any], on_event: OnEvent | None
    ) -> Any:
        return await do_async(verb, self._options, settings, on_event)
