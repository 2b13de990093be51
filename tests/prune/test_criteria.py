"""Criteria: hand-computed scores, laws, and the selections of the paper's library."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from widthwise import make_plan
from widthwise.errors import PlanError
from widthwise.prune import ROW_CRITERIA, keep_highest, ppm_activation
from widthwise.prune.criteria import l2, max_abs, pon, ppm, vow

GATE = torch.tensor([[1.0, -3.0], [2.0, 4.0], [0.0, 0.0]])
UP = torch.tensor([[-1.0, 2.0], [-2.0, -5.0], [0.0, 0.0]])


def test_scores_by_hand() -> None:
    # Rows of gate: [1, -3], [2, 4], [0, 0]; of up: [-1, 2], [-2, -5], [0, 0].
    assert ppm(GATE, UP).tolist() == [(1 + 3) + (2 + 1), (4 + 2) + (-2 + 5), 0]
    assert max_abs(GATE, UP).tolist() == [3 + 2, 4 + 5, 0]
    assert vow(GATE, UP).tolist() == [8 + 4.5, 2 + 4.5, 0]  # (a - b)^2 / 2 for two values
    assert pon(GATE, UP).tolist() == [4 * 3, 6 * 7, 0]
    expected = [math.sqrt(10) + math.sqrt(5), math.sqrt(20) + math.sqrt(29), 0]
    assert l2(GATE, UP).tolist() == pytest.approx(expected, rel=1e-7)  # float32 rounding


def test_the_hybrid_by_hand() -> None:
    down = torch.tensor([[2.0, 0.0, 1.0], [-2.0, 1.0, 0.0]])
    # Peak to peak: gate [4, 6, 0] of 6, up [3, 3, 0] of 3, down columns [4, 1, 1] of 4.
    share = [4 / 6 + 3 / 3 + 4 / 4, 6 / 6 + 3 / 3 + 1 / 4, 0 + 0 + 1 / 4]
    got = ppm_activation((GATE, UP), down, torch.tensor([1.0, 2.0, 4.0]))
    # 1e-8 in the denominators and float32: relative 1e-6 covers both.
    assert got.tolist() == pytest.approx([share[0], 2 * share[1], 4 * share[2]], rel=1e-6)


def test_of_equal_scores_the_lower_index_is_kept() -> None:
    assert keep_highest(torch.tensor([1.0, 5.0, 5.0, 5.0, 7.0]), 3) == [1, 2, 4]
    assert keep_highest(torch.zeros(1000), 7) == list(range(7))


@pytest.mark.parametrize("criterion", ROW_CRITERIA)
def test_permuting_neurons_permutes_scores(criterion: str) -> None:
    generator = torch.Generator().manual_seed(3)
    gate, up = torch.randn(2, 41, 19, generator=generator)
    order = torch.randperm(41, generator=generator)
    scores = ROW_CRITERIA[criterion](gate, up)
    assert torch.equal(ROW_CRITERIA[criterion](gate[order], up[order]), scores[order])


def test_calibration_text_is_for_a_model_on_disk(llama: Any) -> None:
    with pytest.raises(PlanError, match="pass activation_norms"):
        make_plan(llama, width=5, criterion="ppm_activation", calibration=Path("text"))
