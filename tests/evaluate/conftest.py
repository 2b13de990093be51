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


@pytest.fixture(scope="module")
def task_of(folder: Path, tmp_path_factory: Any) -> Any:
    cache = tmp_path_factory.mktemp("cache")

    def load(name: str) -> Task:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
            return own_task(folder) if name == "own" else one_task(name, folder, limit=LIMIT)

    return load
