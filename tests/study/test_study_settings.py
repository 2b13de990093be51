"""Settings of a study: what cannot be asked is refused; the design of the paper."""

from __future__ import annotations

from typing import Any

import pytest
from study_runs import TASKS

from widthwise.errors import PlanError, RunError, TargetError
from widthwise.study import StudySettings
from widthwise.study.study_settings import PAPER_SEEDS


@pytest.mark.parametrize(
    ("changes", "error", "words"),
    [
        ({"tasks": ()}, RunError, "needs tasks or workloads; got neither"),
        ({"seeds": ()}, RunError, "takes one seed or more, each once; got none"),
        ({"seeds": (1, 1)}, RunError, "takes one seed or more, each once; got 1, 1"),
        ({"widths": ("x",)}, TargetError, "must look like"),
        ({"criteria": ("ppm~3",)}, PlanError, "only random can have a seed"),
        ({"criteria": ("random~x",)}, PlanError, "only random can have a seed"),
        ({"criteria": ("obs",)}, PlanError, r"obs without a refit .* ask for obs\+refit"),
        ({"workloads": ("3x2",), "rounds": 2}, RunError, "at least 5 rounds"),
        ({"models": "smollm2"}, RunError, "models must be a tuple; got 'smollm2'"),
        ({"models": (5,)}, RunError, "models must be names or folders; got 5"),
        ({"widths": "2.4x"}, RunError, "widths must be a tuple; got '2.4x'"),
        ({"widths": (2.4,)}, RunError, "widths must be names; got 2.4"),
        ({"limit": 1}, RunError, "limit must be a number of items, at least 2; got 1"),
        ({"limits": {"piqa": 2.5}}, RunError, "piqa must be a number of items, at least 2"),
        ({"seeds": (0.5,)}, RunError, "seeds must be whole numbers"),
        ({"criteria": ()}, RunError, "at least one criterion must be named"),
        ({"max_new_tokens": 0}, RunError, "max_new_tokens must be at least 1"),
        ({"dtype": "int8"}, RunError, "dtype must be one of bfloat16, float32, float16"),
        ({"device": 5}, RunError, "device must be a name such as cpu; got 5"),
        ({"models": ("a", "a")}, RunError, "takes one model or more, each once; got a, a"),
    ],
)
def test_what_cannot_be_asked_is_said(
    changes: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        StudySettings(**{"models": ("a",), "tasks": TASKS, **changes})


def test_the_papers_design() -> None:
    settings = StudySettings.paper("llama", limit=3)
    assert settings.seeds == PAPER_SEEDS == (42, 123, 456)
    assert settings.all_criteria == ("ppm", "random", "random~123", "random~456")
    assert (len(settings.widths) + 1, settings.limit) == (7, 3)
    assert (settings.tasks, settings.workloads) == (("paper",), ("paper",))
