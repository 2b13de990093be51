"""A small text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from widthwise.experiments.lr_transfer import (
    TokenRows,
    read_rows,
)


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    path: Path = tmp_path_factory.mktemp("text") / "text.txt"
    words = ("king", "price", "river", "colour", "number", "wheat", "sand")
    lines = (f"In the year {i} the {words[i % 7]} was {words[i % 5]}er.\n" for i in range(400))
    path.write_text("".join(lines))
    return path


@pytest.fixture(scope="module")
def text(file: Path) -> TokenRows:
    return read_rows(file, tokens=16, most=500)
