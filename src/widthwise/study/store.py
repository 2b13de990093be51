"""The store of a study: its records, and the answers of models in a file beside them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import __version__
from ..runs import RunStore
from .dense_model import DenseModel, checked_device, default_device, default_dtype
from .evaluate_settings import CALIBRATION
from .item_parquet import write_items
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
        models: Sequence[DenseModel] = (),
        *,
        choosing: Collection[str],
        is_here: bool = True,
    ) -> dict[str, Any]:
        """The settings that the folder's study has, with a dtype and a device for the models.

        Args:
            settings: What is asked for now.
            models: Models of the study, which get their dtype and device; none before they are
                looked for.
            choosing: Names of settings that choose cells and change the number of none.
            is_here: Whether the device must be one of this machine.

        Raises:
            RunError: Other settings differ, or they cannot be read; or there is no such device.
        """
        asked = {"widthwise": __version__, **settings}
        agreed = self.folder.agree(asked, choosing=choosing, later=CALIBRATION)
        if models:
            device = agreed["device"] or default_device()
            kind = device.partition(":")[0]
            agreed |= {"device": device, "dtype": agreed["dtype"] or default_dtype(kind)}
            for model in models:
                model.dtype = agreed["dtype"]
                model.device = checked_device(device) if is_here else kind
        return agreed

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

    def keep(self, result: ScoreResult) -> None:
        """Add a record: the answers first, then the record that says that they are there."""
        if result.answers:
            write_items(self.path.parent, result.record.cell, result.answers, result.record.items)
        self.add([result.record])
