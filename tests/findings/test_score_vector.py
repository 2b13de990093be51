"""Records say which documents they are of, so that tasks that share some share their luck."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets
import pytest
import yaml
from sweep_runs import answers, run, settings_of

from widthwise.findings.score_vector import documents_of

ROWS = [
    {"ask": f"The river of year {year} ends in", "sea": "a sea", "tin": "a tin", "right": year % 2}
    for year in range(9)
]


def task(folder: Path, name: str, rows: list[dict[str, Any]], **config: Any) -> str:
    """A task file beside its rows."""
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = {
        "task": name,
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / f"{name}.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "ask",
        "doc_to_choice": "{{[sea, tin]}}",
        "doc_to_target": "right",
        **config,
    }
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(told))
    return str(folder / f"{name}.yaml")


def test_one_document_has_one_mark_in_all_tasks_that_ask_of_it(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another order, by another prompt, and where each task draws a sample of its own."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    other = [{**row, "ask": f"Nobody {row['ask']}"} for row in ROWS]
    rows = {"first": ROWS, "second": ROWS[::-1], "third": other}
    prompts = {"first": "ask", "second": "Say: {{ask}}", "third": "ask"}
    files = tuple(task(tmp_path, n, rows[n], doc_to_text=prompts[n]) for n in rows)
    found = run(tmp_path / "out", settings_of(tiny_checkpoint, tasks=files, widths=(), limit=6))
    marks: dict[str, dict[str, bytes]] = {}  # of each task, by what a document asks
    for (_, _, name), record in found.items():
        if name in rows:
            asked = [int(i.rpartition("/")[2]) for i in answers(tmp_path / "out", record)["item"]]
            texts = [rows[name][place]["ask"] for place in asked]
            marks[name] = dict(zip(texts, documents_of(record), strict=True))
    shared = marks["first"].keys() & marks["second"].keys()
    assert 0 < len(shared) < 6
    assert {text: marks["first"][text] for text in shared} == {
        text: marks["second"][text] for text in shared
    }
    all_marks = {text: mark for task in marks.values() for text, mark in task.items()}
    assert len(set(all_marks.values())) == len(all_marks)
