"""A cache folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from widthwise.assets import wheels


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine without a network and without the wheels installed."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("WIDTHWISE_CACHE", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(wheels, "installed", lambda wheel: None)
    return folder
