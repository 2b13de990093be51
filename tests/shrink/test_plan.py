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


@pytest.mark.parametrize(("kind", "said"), [("max_loss", "asked, from the"), ("faster", "timed,")])
def test_widths_that_are_tried_are_said_first(kind: str, said: str, saved: Path) -> None:
    """Rounded to no multiple, since the block has 53 neurons."""
    asked = {"max_loss": "2%", "faster": "1.2x"}[kind]
    plan = plan_shrink(ShrinkSettings(model=str(saved), **{kind: asked}))
    widths = [spec.width(plan.file.architecture).width for spec in plan.specs]
    assert widths == [50, 47, 45, 42, 39, 37, 34, 31, 26, 21]
    assert "up to 10 cuts, width 50 to width 21 of 53, are " in plan.words
    assert said in plan.words
    found = plan.at(plan.specs[3])
    assert found.sizes.width == 42
    assert "width 42 of 53, 20.8 % of neurons removed" in found.words


def test_a_model_that_is_not_there_is_said() -> None:
    with pytest.raises(CheckpointError, match="nowhere: no such folder or file"):
        plan_shrink(ShrinkSettings(model="nowhere", remove="20%"))
