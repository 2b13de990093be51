"""What all kinds of study do: open their folder, take its records up, and measure the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from pathlib import Path

from .dense_model import DenseModel
from .records import Record
from .store import StudyStore


class CellStudy(ABC):
    """Measures the cells that are missing in a folder, and keeps their records.

    Args:
        folder: Where records go; one that holds a part of this study is continued.
        parents: The models; `_begin` gives them a dtype and a device.
        on_record: Called with each record that is added, once it is on disk.
    """

    def __init__(
        self,
        folder: str | Path,
        parents: Iterable[DenseModel],
        on_record: Callable[[Record], None],
    ) -> None:
        self.store = StudyStore(folder, on_record)
        self.parents = tuple(parents)
        self._retry_failed = True

    @property
    def records(self) -> list[Record]:
        """The records of the study's cells, as far as they are measured."""
        return self.store.cells

    def run(self, *, retry_failed: bool = True) -> list[Record]:
        """Measure what is missing and return all records.

        Args:
            retry_failed: Whether cells that could not be measured before are tried again.

        Raises:
            RunError, OutputError: Something that no cell can be measured without is missing.
        """
        self._retry_failed = retry_failed
        with self.store.folder.held():
            self._begin()
            self._measure()
        return self.records

    @abstractmethod
    def _begin(self) -> None:
        """Agree with the folder on the settings, and take its records up."""

    @abstractmethod
    def _measure(self) -> None:
        """Measure what is missing."""
