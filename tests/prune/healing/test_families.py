"""Healing of models whose layers keep other things than keys and values."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from healing_pairs import BLOCK, rows, settings
from special_families import CUT, VOCAB, special

from widthwise import apply, make_plan
from widthwise.prune.healing import distil
from widthwise.prune.healing.heldout import judge


def divergence_of_whole_rows(child: Any, parent: Any, blocks: torch.Tensor) -> float:
    """KL(parent || child) in nats a token, of one row after another, by torch."""
    found = []
    with torch.no_grad():
        for row in blocks:
            own, other = (
                model(row[None], use_cache=False).logits[0].double().log_softmax(-1)
                for model in (child, parent)
            )
            found.append(torch.nn.functional.kl_div(own, other, log_target=True, reduction="sum"))
    return float(sum(found) / blocks.numel())


@pytest.mark.parametrize("family", CUT)
def test_a_healing_judges_whole_rows_and_brings_the_child_closer(family: str) -> None:
    parent = special(family)
    child = apply(parent, make_plan(parent, width=20, align=1))
    other = torch.randint(3, VOCAB, (6, BLOCK), generator=torch.Generator().manual_seed(9))
    before = divergence_of_whole_rows(child, parent, other)
    # Logits in float32 are right to 1e-6 of some tens; a KL of about one to 1e-4 of itself.
    assert judge(child, parent, other, 3).divergence.value == pytest.approx(before, rel=1e-4)
    distil(child, parent, rows(), settings(), held_out=other)
    assert divergence_of_whole_rows(child, parent, other) < before
