"""Studies ask few documents of each task."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _few(first_documents: None) -> None:
    """In all of these tests."""
