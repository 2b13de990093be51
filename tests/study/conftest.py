"""Studies ask few documents of each task."""

from __future__ import annotations

import pytest

from widthwise.evaluate import documents, ifbench

ALL = documents.benchmark_rows, ifbench._prompts


@pytest.fixture(scope="module", autouse=True)
def _few(first_documents: None) -> None:
    """In all of these tests."""


@pytest.fixture
def all_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """All again, as other processes know nothing of the few."""
    monkeypatch.setattr(documents, "benchmark_rows", ALL[0])
    monkeypatch.setattr(ifbench, "_prompts", ALL[1])
