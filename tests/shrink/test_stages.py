"""Stages as lines of a file, and where they put what they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from widthwise.arch import Target
from widthwise.errors import RunError
from widthwise.prune import PruneSpec
from widthwise.shrink.stages import (
    FORMAT,
    FinishedStage,
    evaluation_place,
    share_of,
    trial_file,
)


def test_a_stage_is_read_as_it_was_written(tmp_path: Path) -> None:
    stages = [
        FinishedStage(name="cut", seconds=1.5),
        FinishedStage(name="speed", seconds=0.1, reason="no memory"),
    ]
    FORMAT.append(tmp_path / "stages.jsonl", stages)
    assert [*FORMAT.load(tmp_path / "stages.jsonl").values()] == stages
    with pytest.raises(RunError, match="stage"):
        FORMAT.from_json('{"name": "cut", "minutes": 3}')


def test_a_share_names_the_places_of_a_trial() -> None:
    assert share_of(PruneSpec(target=Target("remove", "15%"))) == "15"
    assert trial_file("15") == "cut-15.gguf"
    assert evaluation_place("15") == "evaluations/15"
