"""A refitted checkpoint of the command line, and what `inspect` says of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from healing_runs import run

SENTENCES = "\n".join(
    f"In the year {i} the {a} of {b} was {c} than ever before, and nobody knew why it was so."
    for i, (a, b, c) in enumerate(
        (a, b, c)
        for a in ("king", "price", "river", "colour", "number")
        for b in ("France", "wheat", "sand", "the sea", "old books")
        for c in ("larger", "colder", "darker", "nearer")
    )
)
WIDTH = ["--width", "20", "--align", "1"]


def save_sentences(folder: Path) -> Path:
    path = folder / "text.txt"
    path.write_text(SENTENCES)
    return path


def write_refitted(checkpoint: Path, text: Path, out: Path) -> Path:
    """Cut and refit a checkpoint, in float32."""
    options = [*WIDTH, "--criterion", "activation", "--refit", "--calibration", text]
    result = run("prune", checkpoint, *options, "--tokens", "2048", "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out}\n"
    return out


def inspected(folder: Path) -> Any:
    result = run("inspect", folder)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["refit"]
