"""Distances on held-out text: as defined, and what may be said of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import tiny, tokens
from healing_pairs import BLOCK, rows, settings
from special_families import CUT, VOCAB, special

from widthwise import apply, make_plan
from widthwise.prune.healing import distil, gain_verdict, nats_text
from widthwise.prune.healing.loss import Judge
from widthwise.stats import paired_difference


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


def test_what_is_held_out_is_judged_as_by_the_definition() -> None:
    parent, child = tiny("llama"), tiny("llama", seed=1, intermediate_size=20)
    rows = tokens(length=9)
    with torch.no_grad():
        own, other = child(rows).logits.log_softmax(-1), parent(rows).logits.log_softmax(-1)
    found = Judge(parent, rows, 1)(child).blocks
    for row in range(2):
        kl = (other[row].exp() * (other[row] - own[row])).sum(-1).mean()
        assert found.divergence[row] == pytest.approx(float(kl), rel=1e-4)
        for logs, values in ((own, found.child), (other, found.parent)):
            likely = torch.stack([logs[row, t, rows[row, t + 1]] for t in range(8)])
            assert values[row] == pytest.approx(-float(likely.mean()), rel=1e-5)


@pytest.mark.parametrize("family", CUT)
def test_a_healing_judges_whole_rows_and_brings_the_child_closer(family: str) -> None:
    parent = special(family)
    child = apply(parent, make_plan(parent, width=20, align=1, criterion="ppm"))
    other = torch.randint(3, VOCAB, (6, BLOCK), generator=torch.Generator().manual_seed(9))
    before = divergence_of_whole_rows(child, parent, other)
    # Logits in float32 are right to 1e-6 of some tens; a KL of about one to 1e-4 of itself.
    assert Judge(parent, other, 3)(child).divergence.value == pytest.approx(before, rel=1e-4)
    distil(child, parent, rows(), settings(), held_out=other)
    assert divergence_of_whole_rows(child, parent, other) < before


@pytest.mark.parametrize(
    ("blocks", "word"),
    [(4, None), (6, "closer")],  # all signs of 4 alike have p = 1/8, of 6 p = 1/32
)
def test_a_few_blocks_show_nothing_whatever_their_interval(blocks: int, word: str | None) -> None:
    gain = paired_difference([1.0 + 0.01 * i for i in range(blocks)], [0.5] * blocks)
    assert gain.low > 0
    assert gain_verdict(gain) == word
    back = paired_difference([0.5] * blocks, [1.0 + 0.01 * i for i in range(blocks)])
    assert gain_verdict(back) == (word and "further")


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ((0.14671, 0.1, 0.2), ("0.1467", "0.1000", "0.2000")),
        ((0.00215, 0.0019, 0.0024), ("0.00215", "0.00190", "0.00240")),
        ((-0.0000188, -0.00002), ("-0.0000188", "-0.0000200")),  # not "closer" by 0.0000
        ((0.0,), ("0.0000",)),
        ((12.5,), ("12.5000",)),
        ((float("inf"), 1.0), ("inf", "1.0000")),
    ],
)
def test_small_divergences_keep_their_digits(
    values: tuple[float, ...], texts: tuple[str, ...]
) -> None:
    assert nats_text(*values) == texts
