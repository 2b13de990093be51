"""The store of a study: its records, and the answers of models in other files."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..notices import notice
from ..runs import RECORDS, RunStore
from ..stats import counted
from .evaluate_settings import CALIBRATION
from .item_parquet import lost_items, write_items
from .records import FORMAT, Record
from .scorer import ScoreResult
from .stored import CELLS


class StudyStore(RunStore[Record]):
    """Reads and writes the folder of a study; the only one that does.

    Args:
        folder: Folder of the study.
        on_record: Called with each record that is added, once it is on disk.
    """

    def __init__(
        self, folder: str | Path, on_record: Callable[[Record], None] = lambda _: None
    ) -> None:
        super().__init__(folder, FORMAT, on_record=on_record)

    @property
    def cells(self) -> list[Record]:
        """The records of the study's cells, as far as they are measured."""
        return list(self.records.values())

    def agree_on(
        self,
        settings: Mapping[str, Any],
        *,
        choosing: Collection[str],
    ) -> dict[str, Any]:
        """The settings that the folder's study has.

        Args:
            settings: What is asked for now.
            choosing: Names of settings that choose cells and change the number of none.

        Raises:
            RunError: Other settings differ, or they cannot be read.
        """
        asked = {"widthwise": __version__, **settings}
        return self.folder.agree(asked, choosing=choosing, later=CALIBRATION)

    def begin(
        self,
        settings: Mapping[str, Any],
        cells: Iterable[Sequence[Hashable]],
        *,
        write: bool = True,
    ) -> None:
        """Write the settings and the cells of the study, and take up what is measured of them.

        Args:
            settings: The settings, as agreed.
            cells: Keys, in groups that are of use as a whole alone.
            write: Whether anything is written.

        Raises:
            OutputError: The folder cannot be written.
            RunError: A record in it cannot be read.
        """
        groups = [tuple(group) for group in cells]
        if write:
            self.folder.write_settings(
                {**settings, CELLS: [key for group in groups for key in group]}
            )
        self.load()
        whole = {key for group in groups if self.records.keys() >= set(group) for key in group}
        self.records = {key: r for key, r in self.records.items() if key in whole}
        self._say_what_is_lost()

    def _say_what_is_lost(self) -> None:
        """Give a notice where answers that were written are there no more."""
        asked = [record.cell for record in self.cells if record.is_score]
        lost = lost_items(self.path.parent, asked)
        if lost:
            notice(
                f"Note: the answers behind {counted(len(lost), 'score')} are lost ({lost[0]} is "
                f"not there or not whole); the scores stay. Without their lines in {RECORDS} the "
                "same command asks again."
            )

    def tell(self) -> None:
        """Call `on_record` with each record that was taken up."""
        for record in self.cells:
            self._on_record(record)

    def add_missing(self, records: Iterable[Record]) -> None:
        """Add those of the records whose cells are not measured."""
        self.add([record for record in records if not self.is_done([record.cell])])

    def keep(self, results: Sequence[ScoreResult]) -> None:
        """Add records in one step, once the answers that they say are there are there."""
        for result in results:
            if result.answers:
                cell, shares = result.record.cell, result.record.items
                write_items(self.path.parent, cell, result.answers, shares)
        self.add([result.record for result in results])
