"""Records: what a study measured, one JSON line a cell, appended and never rewritten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import attrgetter
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import RunError
from ..io import from_json
from ..runs import RECORDS, RecordFormat
from .item_distances import ItemDistances


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measured number: one network at one width, and one quantity.

    Attributes:
        cell: Content address of what was measured; records of the same cell are the same work.
        model: Name of the dense parent.
        criterion: How neurons were chosen; None for the dense model.
        asked: The width as asked for (`"2.4x"`), `"dense"` for the parent.
        width: Intermediate size that was got, neurons a layer.
        expansion_ratio: width / hidden_size, as got.
        quantity: What was measured: `"prose"`, `"mmlu"`, `"prefill"`, `"parameters"` ...
        unit: Unit of `value`: `"accuracy"`, `"bits_per_byte"`, `"tokens_per_sec"`, `"bytes"` ...
        value: The number, or None with a `reason`.
        standard_error: Of `value`, same unit; None where repeats make no sense (exact counts).
        n: Items, bytes or repeats behind `value`.
        floor: What a trivial answerer gets on all documents of the task; None where there is none.
        floor_kind: Which trivial answerer that is.
        floor_n: Documents that the floor was counted on; None where there is no floor, and in
            records of older versions, which counted it on the items alone.
        floor_error: Standard error of `floor` over these documents; None where it is unknown.
        floor_items: What that answerer gets on each of `items`; none where it is unknown.
        higher_is_better: Direction in which `value` improves; None for plain facts.
        items: Value of each item, in an order shared by all widths, so that widths can be paired.
        distances: How far the network's next words are from the dense model's, on some of these
            items; None of the dense model, and where that was not compared.
        reason: Why `value` is missing; None when it is there.
        duration_sec: Time this cell took.
        settings: What else fixes the number: seed, dtype, device, threads, versions, time.
    """

    cell: str
    model: str
    criterion: str | None
    asked: str
    width: int
    expansion_ratio: float
    quantity: str
    unit: str
    value: float | None
    standard_error: float | None = None
    n: int
    floor: float | None = None
    floor_kind: str | None = None
    floor_n: int | None = field(default=None, metadata={"added_later": True})
    floor_error: float | None = field(default=None, metadata={"added_later": True})
    floor_items: tuple[float, ...] = field(default=(), metadata={"added_later": True})
    higher_is_better: bool | None = None
    items: tuple[float, ...] = ()
    distances: ItemDistances | None = field(default=None, metadata={"added_later": True})
    reason: str | None = None
    duration_sec: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.value is None) != (self.reason is not None):
            raise RunError(f"record {self.cell}: value is missing exactly when a reason is given")

    @property
    def is_score(self) -> bool:
        """Whether it is the score of a task, and not a cost or a reason why there is none."""
        return self.value is not None and "floors" in self.settings

    def to_json(self) -> str:
        """One line of JSON, keys in the order of the fields; NaN and Infinity are refused."""
        try:
            return json.dumps(asdict(self), allow_nan=False)
        except ValueError as error:
            raise RunError(f"record {self.cell} ({self.quantity}) is not finite") from error

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Inverse of `to_json`; a field that is unknown or missing is an error.

        Raises:
            RunError: It is no record, and why.
        """
        try:
            record: Record = from_json(cls, line, "record")
        except RunError as error:
            raise RunError(f"{error}{_newer(line)}") from error
        return record


def cell_address(parts: Sequence[Any]) -> str:
    """Content address of a cell: 16 digits over all that fixes its number, plain values."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def _newer(line: str) -> str:
    """Why a line may be no record here; "" if it was not made by a newer version."""
    try:
        made_by = json.loads(line)["settings"]["widthwise"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    if not is_newer(made_by):
        return ""
    return f"; it was made by widthwise {made_by}, newer than this one, {__version__}"


def is_newer(version: Any) -> bool:
    """Whether this version of widthwise is later than the one that runs; one that is no text of
    numbers and dots is not.

    >>> is_newer("999.0"), is_newer("0.0.1"), is_newer(None)
    (True, False, False)
    """

    def numbers(text: str) -> tuple[int, ...]:
        return tuple(int(part) for part in text.split(".")[:3])

    try:
        return numbers(version) > numbers(__version__)
    except (ValueError, AttributeError):
        return False


FORMAT = RecordFormat(
    file=RECORDS,
    key=attrgetter("cell"),
    to_json=Record.to_json,
    from_json=Record.from_json,
    is_failed=lambda record: record.value is None,
)


def append(path: Path, records: Iterable[Record]) -> None:
    """Append records to a JSON-lines file and force them to disk before returning.

    A last line without its newline was cut off by an interruption: it is taken away first.

    Raises:
        OutputError: The file cannot be written; what it held is still there.
    """
    FORMAT.append(path, records)


def load(path: str | Path) -> list[Record]:
    """Read the whole records of a JSON-lines file; an absent file holds none, a torn line is none.

    A cell that was measured again is returned once: its last record, in the place of its first.

    Raises:
        RunError: A line that is whole but not a record, with its number.
    """
    return list(FORMAT.load(Path(path)).values())
