"""Where toy workers note their processes."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def pids(tmp_path: Path) -> str:
    """Where workers note their process."""
    return str(tmp_path / "pids")
