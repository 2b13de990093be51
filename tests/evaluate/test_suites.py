"""Suites: their metrics, and the folders of lm-eval that they need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from widthwise.evaluate import SUITES, load_tasks
from widthwise.evaluate import harness_loading as loading
from widthwise.evaluate.suites import TaskRequest

BENCHMARKS = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
KINDS = ("GROUP", "TAG")  # of what is not a task itself

real_data = pytest.mark.skipif(
    not BENCHMARKS.is_dir(), reason="the real benchmarks are not beside the repository"
)


@real_data
def test_the_paper_suite_has_its_metrics() -> None:
    tasks = {task.name: task for task in load_tasks(["paper"], data=BENCHMARKS, limit=1)}
    found = {name: f"{task.metric}, {task.filter}" for name, task in tasks.items()}
    normed = dict.fromkeys(
        ["arc_challenge", "hellaswag", "piqa", "leaderboard_musr"], "acc_norm, none"
    )
    plain = ["mmlu", "winogrande", "boolq", "truthfulqa_mc1", "truthfulqa_mc2"]
    assert found == {
        **normed,
        **dict.fromkeys(plain, "acc, none"),
        "wikitext": "word_perplexity, none",
        "lambada_openai": "perplexity, none",
        "gsm8k": "exact_match, flexible-extract",
        "ifeval": "prompt_level_strict_acc, none",
    }
    falling = {name for name, task in tasks.items() if not task.higher_is_better}
    assert falling == {"wikitext", "lambada_openai"}
    assert tasks["mmlu"].version == "2"
    assert tasks["mmlu"].source == "1 of 14,042 items, stratified over 1 of 57 parts, seed 0"


def leaf_names(manager: Any, name: str) -> list[str]:
    """Names of the tasks behind a name, groups and tags taken apart."""
    names = loading.names_under(manager, [TaskRequest(task=name)])
    groups = {each for each, entry in manager.task_index.items() if entry.kind.name in KINDS}
    return [each for each in names if each not in groups]


def test_the_few_folders_hold_all_of_the_suites() -> None:
    """Read alone, they give the very tasks, and members of groups, that all of lm-eval gives."""
    few, everything = (loading.manager_of(everything=flag) for flag in (False, True))
    for name in {name.removesuffix("@chat") for suite in SUITES.values() for name in suite}:
        leaves = leaf_names(few, name)
        assert leaves == leaf_names(everything, name)
        for leaf in set(leaves) - {"prose", "ifbench"}:
            assert few.task_index[leaf] == everything.task_index[leaf]
    assert len(leaf_names(few, "mmlu")) == 57
