"""What a shrink is asked for, refused where no model allows it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from widthwise.errors import RunError, TargetError
from widthwise.shrink import Goal, ShrinkSettings


@pytest.mark.parametrize("minutes", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_minutes_must_be_some(minutes: float) -> None:
    with pytest.raises(RunError, match="minutes must be a number above 0"):
        ShrinkSettings(model="smollm2", remove="20%", minutes=minutes)


def test_one_goal_and_a_dtype_that_there_is() -> None:
    assert ShrinkSettings(model="m", params="1B").goal == Goal("params", "1B")
    with pytest.raises(TargetError, match="exactly one"):
        ShrinkSettings(model="m", params="1B", size="1GB")
    with pytest.raises(TargetError, match="--dtype must be one of"):
        ShrinkSettings(model="m", params="1B", dtype="int8")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gguf": "q9"}, "--type must be one of f32, f16"),
        ({"text": "/no/such/text"}, "/no/such/text: no such file or folder"),
        ({"tasks": ("embedded:nothing",)}, "suite embedded has no task 'nothing'"),
        ({"device": "banana"}, "device banana cannot be used here"),
    ],
)
def test_what_is_not_there_is_said_without_the_model(changes: dict[str, Any], said: str) -> None:
    settings = ShrinkSettings(model="no-such-model", remove="20%", **changes)
    with pytest.raises((RunError, TargetError), match=said):
        settings.check()


def test_before_and_after_are_asked_alike(tmp_path: Path) -> None:
    settings = ShrinkSettings(model="m", remove="20%", seed=7, limit=9, tasks=("embedded:prose",))
    before = settings.evaluation("m")
    after = settings.evaluation(str(tmp_path), "bfloat16")
    assert (before.seed, before.limit, before.tasks) == (after.seed, after.limit, after.tasks)
    assert (before.dtype, after.dtype) == (None, "bfloat16")
