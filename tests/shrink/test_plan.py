"""The plan of a shrink, from shapes alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from widthwise.errors import CheckpointError
from widthwise.shrink import CheapSaving, ShrinkSettings
from widthwise.shrink.plan import plan_shrink


def test_a_plan_tells_the_width_and_the_bytes(saved: Path, tmp_path: Path) -> None:
    plan = plan_shrink(ShrinkSettings(model=str(saved), remove="40%"))
    assert (plan.sizes.width, plan.sizes.intermediate_size) == (31, 53)
    assert plan.planned_bytes == plan.file.bytes_at(31)
    assert "width 31 of 53, 41.5 % of neurons removed" in plan.words
    assert plan.estimate(tmp_path / "out").memory_bytes > 0
    assert list(tmp_path.iterdir()) == [saved]


def test_savings_that_do_what_is_asked_make_a_cut_needless(saved: Path) -> None:
    plan = plan_shrink(ShrinkSettings(model=str(saved), smaller="5%"))
    assert not plan.is_cheaper
    assert plan.first_words[0].startswith("Without a cut nothing is known to save")
    saving = CheapSaving(what="it is long", how="shortening", saved_bytes=plan.dense_bytes // 2)
    cheap = replace(plan, savings=(saving,))
    assert cheap.is_cheaper
    assert cheap.first_words[1] == (
        "That alone would do what --smaller 5% asks, so no narrower model is needed for it."
    )
    little = replace(plan, savings=(replace(saving, saved_bytes=10),))
    assert not little.is_cheaper
    by_neurons = plan_shrink(ShrinkSettings(model=str(saved), remove="5%"))
    assert not replace(by_neurons, savings=(saving,)).is_cheaper  # bytes are not what is asked


def test_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such folder or file"):
        plan_shrink(ShrinkSettings(model="nowhere", remove="20%"))
