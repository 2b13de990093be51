"""The folder of a study while it runs: what it holds is taken up, and one process adds to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..runs import RECORDS, locked_folder, reconcile_settings, write_settings
from .evaluate_settings import CALIBRATION
from .item_parquet import write_items
from .records import Record, append, load
from .scorer import ScoreResult
from .stored import CELLS


class StudyStore:
    """Reads and writes the folder of a study; the only one that does.

    Args:
        folder: Of the study.
        on_record: Called with each record, those from an earlier run first.

    Attributes:
        records: By cell, of the study's cells alone.
    """

    def __init__(self, folder: str | Path, on_record: Callable[[Record], None]) -> None:
        self.folder = Path(folder)
        self.records: dict[str, Record] = {}
        self._on_record = on_record

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder for this process alone, and make it where it is new."""
        with locked_folder(self.folder):
            yield

    def agree(self, settings: Mapping[str, Any], *, choosing: Collection[str]) -> dict[str, Any]:
        """The settings, as far as left open, that the folder's study was begun with.

        Args:
            settings: As asked for now.
            choosing: Names of those that choose cells, and change the number of none: they may
                differ from those that the folder was begun with. So may calibration text come
                with the first criterion that goes by it.

        Raises:
            RunError: Others differ, or they cannot be read.
        """
        return reconcile_settings(self.folder, settings, choosing=choosing, later=CALIBRATION)

    def begin(
        self, settings: Mapping[str, Any], cells: Iterable[Sequence[str]], *, write: bool = True
    ) -> None:
        """Write the settings and the cells of the study, and take up what is measured of them.

        Args:
            settings: As agreed.
            cells: Keys, in groups that are of use as a whole alone.
            write: Whether anything is written.

        Raises:
            OutputError: The folder cannot be written.
            RunError: A record in it cannot be read.
        """
        groups = [tuple(group) for group in cells]
        keys = [key for group in groups for key in group]
        if write:
            write_settings(self.folder, {**settings, CELLS: keys})
        known = {record.cell: record for record in load(self.folder / RECORDS)}
        whole = {key for group in groups if known.keys() >= set(group) for key in group}
        self.records |= {key: record for key, record in known.items() if key in whole}
        for record in self.records.values():
            self._on_record(record)

    def has(self, cell: str) -> bool:
        """Whether this cell is measured; one whose value is missing is tried again."""
        record = self.records.get(cell)
        return record is not None and record.value is not None

    def store(self, records: Sequence[Record]) -> None:
        """Append records, all in one step; of none, nothing is written."""
        if not records:
            return
        append(self.folder / RECORDS, records)
        for record in records:
            self.records[record.cell] = record
            self._on_record(record)

    def keep(self, scored: ScoreResult) -> None:
        """Items first, then the record that says that they are there."""
        if scored.answers:
            write_items(self.folder, scored.record.cell, scored.answers, scored.record.items)
        self.store([scored.record])
