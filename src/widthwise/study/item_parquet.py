"""Item-level results: a Parquet file a cell, a row an item."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..evaluate import Distance, TaskAnswer
from ..io import replace_file
from .records import Record

FOLDER = "items"
_MARK = b"PAR1"  # at the end of every Parquet file


def write_items(
    folder: Path, cell: str, answers: Sequence[TaskAnswer], shares: Sequence[float]
) -> None:
    """Write what a model said to each item, whole or not at all, to `folder/items/CELL.parquet`.

    Columns: `item`; `share` in the score; `metrics`, JSON; `text` that was written, with its
    `tokens`, whether it was `capped` and whether it `loops`; `log_likelihoods` (nats) and `greedy`
    of the options; whether a prompt was `shortened`. A column that does not apply holds nulls.

    Raises:
        OutputError: The file cannot be written.
    """
    import pyarrow
    import pyarrow.parquet

    path = folder / FOLDER / f"{cell}.parquet"
    rows = [_row(answer) for answer in answers]
    for number, row in enumerate(rows):
        row["share"] = shares[number] if shares else None
    table = pyarrow.Table.from_pylist(rows, schema=_schema())
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} was not written: {error}") from error
    with replace_file(path) as partial:
        pyarrow.parquet.write_table(table, partial)


def read_items(folder: Path, record: Record) -> list[TaskAnswer]:
    """The answers behind a score; none where they are lost, or not those of the record.

    Numbers of numpy come back as Python's, and lists as tuples.
    """
    import pyarrow
    import pyarrow.parquet

    path = folder / FOLDER / f"{record.cell}.parquet"
    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()[: record.n]
    except (OSError, pyarrow.ArrowException):
        return []
    found = record.distances
    distances = [None] * len(rows) if found is None else found.each()
    if not len(rows) == len(distances) == record.n or "shortened" not in rows[0]:
        return []
    return [_answer(row, distance) for row, distance in zip(rows, distances, strict=True)]


def lost_items(folder: Path, cells: Sequence[str]) -> list[Path]:
    """The files of these cells that are not there, or not whole."""
    files = [folder / FOLDER / f"{cell}.parquet" for cell in cells]
    return [file for file in files if not _is_whole(file)]


def _is_whole(file: Path) -> bool:
    """Whether a file ends as Parquet does: with the length of what is before, and a mark."""
    if not file.is_file() or file.stat().st_size < len(_MARK):
        return False
    with file.open("rb") as opened:
        opened.seek(-len(_MARK), os.SEEK_END)
        return opened.read() == _MARK


def _schema() -> Any:
    import pyarrow as pa

    return pa.schema(
        [
            ("item", pa.string()),
            ("share", pa.float64()),
            ("metrics", pa.string()),
            ("text", pa.string()),
            ("tokens", pa.int32()),
            ("capped", pa.bool_()),
            ("loops", pa.bool_()),
            ("log_likelihoods", pa.list_(pa.float64())),
            ("greedy", pa.list_(pa.bool_())),
            ("shortened", pa.bool_()),
        ]
    )


def _plain(value: Any) -> Any:
    """A number or array of numpy, which JSON does not know, as Python has it."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


def _row(answer: TaskAnswer) -> dict[str, Any]:
    row: dict[str, Any] = {"item": answer.id, "metrics": json.dumps(answer.metrics, default=_plain)}
    row["shortened"] = answer.shortened
    first = answer.responses[0]
    if isinstance(first, str):
        row |= {"text": first, "tokens": answer.tokens}
        row |= {"capped": answer.capped, "loops": answer.loops}
    elif isinstance(first, tuple):
        row["log_likelihoods"] = [float(value) for value, _ in answer.responses]
        row["greedy"] = [bool(greedy) for _, greedy in answer.responses]
    else:
        row["log_likelihoods"] = [float(value) for value in answer.responses]
    return row


def _answer(row: Mapping[str, Any], distance: Distance | None) -> TaskAnswer:
    responses: tuple[Any, ...]
    if row["text"] is not None:
        responses = (row["text"],)
    elif row["greedy"] is not None:
        responses = tuple(zip(row["log_likelihoods"], row["greedy"], strict=True))
    else:
        responses = tuple(row["log_likelihoods"])
    names = ("tokens", "capped", "loops", "shortened")
    return TaskAnswer(
        id=row["item"],
        responses=responses,
        metrics={name: _tuples(value) for name, value in json.loads(row["metrics"]).items()},
        distance=distance,
        **{name: row[name] for name in names},
    )


def _tuples(value: Any) -> Any:
    """A value of JSON, with tuples, as metrics have them, for its lists."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
