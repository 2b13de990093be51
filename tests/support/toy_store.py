"""A store of toy records, for tests of stores and runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path

from widthwise.io import from_json
from widthwise.runs import RecordFormat, RunStore


@dataclass(frozen=True, kw_only=True)
class Note:
    """A record of a toy run; one without a value has failed."""

    key: str
    value: int | None


FORMAT: RecordFormat[Note] = RecordFormat(
    file="notes.jsonl",
    what="list",
    key=attrgetter("key"),
    to_json=lambda note: json.dumps(asdict(note)),
    from_json=lambda line: from_json(Note, line, "note"),
    is_failed=lambda note: note.value is None,
)


def store_at(folder: Path, on_record: Callable[[Note], None] = lambda _: None) -> RunStore[Note]:
    return RunStore(folder, FORMAT, on_record=on_record)
