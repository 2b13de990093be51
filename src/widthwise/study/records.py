"""Records: what a study measured, one JSON line a cell, appended and never rewritten."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import RunError
from ..io import append_lines, read_whole_lines


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
    floor_n: int | None = None
    floor_error: float | None = None
    floor_items: tuple[float, ...] = ()
    higher_is_better: bool | None = None
    items: tuple[float, ...] = ()
    reason: str | None = None
    duration_sec: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.value is None) != (self.reason is not None):
            raise RunError(f"record {self.cell}: value is missing exactly when a reason is given")

    def to_json(self) -> str:
        """One line of JSON, keys in the order of the fields; NaN and Infinity are refused."""
        try:
            return json.dumps(asdict(self), allow_nan=False)
        except ValueError as error:
            raise RunError(f"record {self.cell} ({self.quantity}) is not finite") from error

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Inverse of `to_json`; unknown fields are an error, and missing ones but `_LATER`."""
        try:
            data = json.loads(line, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise RunError(f"a record is not JSON: {error}") from error
        known = {f.name for f in fields(cls)}
        if isinstance(data, dict):
            data = {**_LATER, **data}
        if not isinstance(data, dict) or set(data) != known:
            odd = sorted(set(data) ^ known) if isinstance(data, dict) else type(data).__name__
            raise RunError(f"a record has unknown or missing fields: {odd}{_newer(data)}")
        for name, kinds in _KINDS.items():
            if not isinstance(data[name], kinds) or isinstance(data[name], bool):
                raise RunError(f"a record has {name} {data[name]!r}")
        if not isinstance(data["higher_is_better"], bool | None):
            raise RunError(f"a record has higher_is_better {data['higher_is_better']!r}")
        if not all(map(_is_number, [*data["items"], *data["floor_items"]])):
            raise RunError("a record has items that are no numbers")
        for name in _NUMBERS:
            if data[name] is not None and not _is_number(data[name]):
                raise RunError(f"a record has a {name} that is out of range")
        listed = {name: tuple(data[name]) for name in ("items", "floor_items")}
        return cls(**{**data, **listed})


def _is_number(value: Any) -> bool:
    """Whether it is a number that float64 holds."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _newer(data: Any) -> str:
    """Why a record may be strange; "" if it was not made by a newer version."""
    settings = data.get("settings") if isinstance(data, dict) else None
    made_by = settings.get("widthwise") if isinstance(settings, dict) else None
    if made_by is None or not is_newer(made_by):
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


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


_NUMBER, _MAYBE = (int, float), (int, float, type(None))
_NUMBERS = (
    *("width", "n", "value", "standard_error", "floor", "floor_n", "floor_error"),
    *("expansion_ratio", "duration_sec"),
)
_LATER: dict[str, Any] = {"floor_n": None, "floor_error": None, "floor_items": []}  # in no old line
_KINDS: dict[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("cell", "model", "asked", "quantity", "unit"), str),
    **dict.fromkeys(("criterion", "floor_kind", "reason"), (str, type(None))),
    **dict.fromkeys(("width", "n"), int),
    **dict.fromkeys(("value", "standard_error", "floor", "floor_error"), _MAYBE),
    "floor_n": (int, type(None)),
    **dict.fromkeys(("expansion_ratio", "duration_sec"), _NUMBER),
    **dict.fromkeys(("items", "floor_items"), list),
    "settings": dict,
}


def append(path: Path, records: Iterable[Record]) -> None:
    """Append records to a JSON-lines file and force them to disk before returning.

    A last line without its newline was cut off by an interruption: it is taken away first.

    Raises:
        OutputError: The file cannot be written; what it held is still there.
    """
    append_lines(path, [record.to_json() for record in records])


def load(path: str | Path) -> list[Record]:
    """Read the whole records of a JSON-lines file; an absent file holds none, a torn line is none.

    A cell that was measured again is returned once: its last record, in the place of its first.

    Raises:
        RunError: A line that is whole but not a record, with its number.
    """
    records: dict[str, Record] = {}
    for number, line in enumerate(read_whole_lines(Path(path)), 1):
        try:
            record = Record.from_json(line)
        except RunError as error:
            raise RunError(f"{path}:{number}: {error}") from error
        records[record.cell] = record
    return list(records.values())
