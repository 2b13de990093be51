"""Settings of an evaluation are looked at before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from sweep_runs import settings_of

from widthwise.errors import PlanError, RunError, TargetError
from widthwise.study import Evaluation

pytestmark = pytest.mark.demo


def test_settings_are_looked_at_before_anything_is_written(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for changes, kind, words in (
        ({"tasks": ()}, RunError, "at least one task or suite"),
        ({"backend": "jax"}, RunError, "backend must be one of widthwise, hf, vllm; got 'jax'"),
        ({"criteria": ("best",)}, PlanError, "criterion must be one of ppm, .* got 'best'"),
        ({"widths": ("wide",)}, TargetError, "--to must look like 2.4x; got 'wide'"),
        ({"seed": -1}, PlanError, "seed must be a whole number"),
        ({"device": "banana"}, RunError, "device banana cannot be used here"),
        ({"device": "meta"}, RunError, "device meta cannot be used here"),
    ):
        with pytest.raises(kind, match=words):
            Evaluation(out, settings_of(tiny_checkpoint, **changes)).run()
    assert not out.exists()
