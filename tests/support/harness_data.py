"""Tiny benchmark files in the layout of a folder of documents."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

PIQA = {"goal": "cut", "sol1": "saw ", "sol2": "look", "label": 0}
MUSR = ("murder_mysteries", "object_placements", "team_allocation")


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as their suffix says: JSON lines, one JSON list, or either in gzip."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lists = ".json" in path.suffixes
    text = json.dumps(rows) if lists else "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def write_musr(folder: Path, sizes: tuple[int, int, int]) -> None:
    """The three parts of leaderboard_musr."""
    for name, size in zip(MUSR, sizes, strict=True):
        rows = [
            {
                "narrative": f"{name} {number}",
                "question": "Who?",
                "choices": "['Ann', 'Bob']",
                "answer_index": 1,
                "answer_choice": "Bob",
            }
            for number in range(size)
        ]
        write_rows(folder / "leaderboard_musr" / f"{name}.jsonl", rows)
