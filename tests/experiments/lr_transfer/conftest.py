"""A small text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from short_text import save_short_text

from widthwise.experiments.lr_transfer import TokenRows, read_rows


@pytest.fixture(scope="module")
def file(tmp_path_factory: Any) -> Path:
    return save_short_text(tmp_path_factory.mktemp("text") / "text.txt")


@pytest.fixture(scope="module")
def text(file: Path) -> TokenRows:
    return read_rows(file, tokens=16, most=500)
