"""How fast two servers are: the rates that an estimate uses."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pgmigrate import _native
from pgmigrate._bridge.files import read_text, write_atomically
from pgmigrate._results.tabular import Tabular
from pgmigrate._values.humanize import plural, printed
from pgmigrate._values.record import Record
from pgmigrate._values.wording import action


@dataclass(frozen=True)
class Speedup(Record):
    """The throughput of several sessions that work at once.

    Attributes:
        sessions: the number of sessions.
        speedup: their throughput together, as a multiple of that of one session alone.
    """

    sessions: int
    speedup: float


@dataclass(frozen=True)
class TableRates(Record):
    """The rates of one table, used instead of the general rates. None if not known.

    Attributes:
        table: its name, as plans and reports write it.
        copy: MB of it that one session copies per second.
        index: as `Rates.index`.
        validation: as `Rates.validation`.
        analyze: as `Rates.analyze`.
    """

    table: str
    copy: float | None = None
    index: float | None = None
    validation: float | None = None
    analyze: float | None = None


@dataclass(frozen=True, repr=False)
class Rates(Tabular):
    """How fast two servers do the work of a plan, for one active session unless said otherwise.

    `Migration.calibrate` measures them, `typical` has figures for servers that were not measured,
    and ``dataclasses.replace(rates, copy_binary=300.0)`` sets a figure that is known better. Rates
    are separate from a plan: names of tables and numbers, no secret and no value of a row. A MB is
    a million bytes; bytes of a table are those of its heap and TOAST on the source.

    Attributes:
        version: the version of the file's format.
        calibrated: whether they were measured on the two servers.
        copy_binary: MB of a table copied per second, in COPY's binary format.
        copy_text: the same in its text format.
        index: MB of an index on a table of a million rows that are sorted and written per second,
            where each row counts as 32 bytes more than its key; reading the table is not included.
        validation: MB of a table and of the one it references, checked per second.
        scan: MB of a table read per second.
        analyze: seconds for the statistics of a table that fills the sample of ANALYZE
            (https://www.postgresql.org/docs/current/sql-analyze.html).
        create_table: seconds to create an empty table.
        statement: seconds for a small statement sent together with others.
        small_copy: seconds to copy a table of a few rows.
        source_round_trip: seconds for a query to the source and its answer.
        target_round_trip: the same for the target.
        preparation: seconds before the first task: connecting, reading the catalog, preflight.
        uncertainty: how many times longer or shorter than estimated a run may take.
        copy_speedup: copying by several sessions at once; beyond the last point Amdahl's law
            is used (https://doi.org/10.1145/1465482.1465560).
        build_speedup: the same for building indexes.
        tables: the rates of single tables.
        notes: what a reader should know about their origin.
    """

    _table: ClassVar[str] = "tables"
    _parts: ClassVar[Mapping[str, type[Record]]] = {
        "copy_speedup": Speedup,
        "build_speedup": Speedup,
        "tables": TableRates,
    }

    version: int
    calibrated: bool
    copy_binary: float
    copy_text: float
    index: float
    validation: float
    scan: float
    analyze: float
    create_table: float
    statement: float
    small_copy: float
    source_round_trip: float
    target_round_trip: float
    preparation: float
    uncertainty: float
    copy_speedup: tuple[Speedup, ...]
    build_speedup: tuple[Speedup, ...]
    tables: tuple[TableRates, ...]
    notes: tuple[str, ...]

    @classmethod
    def typical(cls) -> Rates:
        """Typical rates of two servers with a few cores, a fast network, and data in memory."""
        return cls.from_mapping(_native.typical_rates())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Rates:
        """Reads rates that `save` wrote.

        Args:
            path: the file.

        Raises:
            StateError: it cannot be read, or a figure in it is not valid.
        """
        remedy = f"measure the rates with {action('calibrate')}"
        return cls.from_mapping(_native.parse_rates(read_text(path, "rates file", remedy)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the rates to a file as JSON.

        Args:
            path: the file; an existing one is replaced.

        Raises:
            OSError: the file cannot be written.
        """
        write_atomically(Path(path), [self.to_json(indent=2).encode() + b"\n"])

    @printed
    def text(self) -> str:
        """A text for people: the rates of one session, and how far the figures may be off."""
        how = "measured" if self.calibrated else "typical, not measured"
        lines = [
            f"rates, {how}; a run may take {self.uncertainty:.1f} times longer or shorter",
            f"  copy: {self.copy_binary:,.0f} MB/s (binary), {self.copy_text:,.0f} MB/s (text)",
            f"  index: {self.index:,.0f} MB/s; validation: {self.validation:,.0f} MB/s; "
            f"scan: {self.scan:,.0f} MB/s",
            f"  round trip: {1000 * self.source_round_trip:.1f} ms to the source, "
            f"{1000 * self.target_round_trip:.1f} ms to the target",
        ]
        measured = [f"  {plural(len(self.tables), 'table')} measured"] if self.tables else []
        return "\n".join([*lines, *measured, *(f"  {note}" for note in self.notes)])
