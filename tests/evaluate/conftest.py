"""Fixtures of the evaluation's tests: a folder of documents, and tasks loaded from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pytest
from harness_answers import documents, one_task
from scored_tasks import LIMIT, SIZE, own_task

from widthwise.evaluate import Task


@pytest.fixture(scope="module")
def folder(tmp_path_factory: Any) -> Path:
    return documents(tmp_path_factory.mktemp("documents"), SIZE)


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The data sets that a test reads are cached in a folder of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


@pytest.fixture(scope="module")
def task_of(folder: Path, tmp_path_factory: Any) -> Any:
    cache = tmp_path_factory.mktemp("cache")

    def load(name: str) -> Task:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
            return own_task(folder) if name == "own" else one_task(name, folder, limit=LIMIT)

    return load
