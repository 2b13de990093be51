"""Tasks of every kind, answered and scored."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness_answers import BENCHMARKS, Oracle
from harness_data import write_rows

from widthwise.evaluate import (
    Floor,
    Task,
    TaskScore,
    answer_task,
    load_tasks,
    score_answers,
)

NO_FLOOR = Floor(value=None, kind=None, chance=None, answerers={}, reason="not asked")


SIZE, LIMIT = 47, 41  # documents, and those that are asked


needs_nltk_data = pytest.mark.skipif(
    not (BENCHMARKS / "nltk_data").is_dir(), reason="ifeval needs punkt_tab of NLTK"
)


# Task -> the metrics that lm-eval must agree on, the headline first.
METRICS = {
    "piqa": ["acc_norm", "acc"],
    "truthfulqa_mc2": ["acc"],
    "lambada_openai": ["perplexity", "acc"],
    "wikitext": ["word_perplexity", "byte_perplexity", "bits_per_byte"],
    "gsm8k": ["exact_match"],
    "ifeval": ["prompt_level_strict_acc", "inst_level_strict_acc", "inst_level_loose_acc"],
    "own": ["f1", "mcc", "brier_score"],
}


def own_task(folder: Path) -> Task:
    """A task whose metrics are no means over items."""
    rows = [{"question": f"q {i}", "label": i % 3 % 2} for i in range(SIZE)]
    write_rows(folder / "own.jsonl", rows)
    config = {
        "task": "own",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(folder / "own.jsonl")}},
        "test_split": "test",
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}",
        "doc_to_choice": ["no", "yes"],
        "doc_to_target": "label",
        "metric_list": [{"metric": name} for name in METRICS["own"]],
    }
    (folder / "own.yaml").write_text(yaml.safe_dump(config))
    (task,) = load_tasks([str(folder / "own.yaml")], limit=LIMIT)
    return task


def scored(task: Task, metric: str | None = None, lm: Any = None) -> TaskScore:
    task = dataclasses.replace(task, metric=metric or task.metric)
    return score_answers(task, answer_task(lm or Oracle(), task), NO_FLOOR)
