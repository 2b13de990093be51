"""A tuning of scales that was ended goes on after the steps that are done, to the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from every_family import tiny_model
from family_trials import inputs
from layered_models import batches

from widthwise import refit
from widthwise.prune.refitting.scale_tuner import ScaleTuner


class Ended(Exception):
    pass


def test_a_tuning_that_was_ended_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("llama")
    given = [inputs(model, seed, 4, 40) for seed in range(8)]
    whole = refit(model, width=24, align=1, text=given)
    step = ScaleTuner._gradient
    seen: list[list[int]] = []

    def gradient(self: ScaleTuner, rows: list[int]) -> torch.Tensor:
        seen.append(rows)
        if len(seen) == 4:
            raise Ended
        return step(self, rows)

    monkeypatch.setattr(ScaleTuner, "_gradient", gradient)
    with pytest.raises(Ended):
        refit(model, width=24, align=1, text=given, work=tmp_path)
    done = refit(model, width=24, align=1, text=given, work=tmp_path)
    assert done.scales == whole.scales
    assert all(torch.equal(a, b) for a, b in zip(done.down, whole.down, strict=True))
    assert len(seen) == 4 + 12  # 15 rows are 15 steps, of which three were kept


def test_a_state_that_cannot_be_read_or_is_of_another_refit_is_not_gone_on_with(
    tmp_path: Path,
) -> None:
    model, given = tiny_model("llama"), batches()
    whole = refit(model, width=24, align=1, text=given)
    refit(model, width=20, align=1, text=given, work=tmp_path)
    done = refit(model, width=24, align=1, text=given, work=tmp_path)
    assert done.scales == whole.scales
    (tmp_path / "scales.safetensors").write_bytes(b"half")
    assert refit(model, width=24, align=1, text=given, work=tmp_path).scales == whole.scales
