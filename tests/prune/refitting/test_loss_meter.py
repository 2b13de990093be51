"""What a cut loses on held-out text is what whole passes of both models say."""

from __future__ import annotations

from statistics import mean, stdev
from typing import Any

import pytest
import torch
from every_family import tiny_model
from family_trials import inputs
from layered_models import batches

from widthwise import apply, refit
from widthwise.cut import TextLoss

Batches = list[dict[str, torch.Tensor]]


def by_whole_passes(dense: Any, narrow: Any, held_out: Batches) -> tuple[list[float], list[float]]:
    """KL divergence, and what is added to the loss, of every row."""
    divergences, added = [], []
    for batch in held_out:
        with torch.no_grad():
            one, other = (m(**batch).logits.double().log_softmax(-1) for m in (dense, narrow))
        for row, ids in enumerate(batch["input_ids"]):
            p, q, words = one[row, :-1], other[row, :-1], ids[1:, None]
            divergences.append(float((p.exp() * (p - q)).sum(-1).mean()))
            added.append(float((p - q).gather(1, words).mean()))
    return divergences, added


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("family", ["llama", "mixtral", "gemma3n_text"])
def test_losses_are_those_of_whole_passes(family: str, sequential: bool) -> None:
    model = tiny_model(family)
    given = [inputs(model, seed, 4, 40) for seed in range(6)]
    done = refit(model, width=24, align=1, text=given, sequential=sequential)
    divergences, added = by_whole_passes(model, apply(model, done.plan, done), given[1::2])
    (loss,) = done.losses
    assert loss.blocks == len(added) == 12
    # float32 sums in another order: of logits of about 1, some millionths.
    assert loss.divergence == pytest.approx(mean(divergences), rel=1e-3)
    assert loss.added_loss == pytest.approx(mean(added), abs=1e-5)
    assert loss.error == pytest.approx(stdev(added) / len(added) ** 0.5, rel=1e-3)


def test_padding_is_not_predicted_nor_predicts() -> None:
    model, given = tiny_model("llama"), batches()
    padded = []
    for batch in given:
        ids, mask = batch["input_ids"].clone(), torch.ones_like(batch["input_ids"])
        mask[:, -3:] = 0
        padded.append({"input_ids": ids, "attention_mask": mask})
    short = [{"input_ids": batch["input_ids"][:, :-3]} for batch in given]
    (one,), (other,) = (refit(model, width=24, align=1, text=t).losses for t in (padded, short))
    assert one.added_loss == pytest.approx(other.added_loss, abs=1e-5)
    assert one.blocks == other.blocks


def test_an_encoder_has_no_losses() -> None:
    model = tiny_model("modernbert")
    given = [inputs(model, seed, 4, 40) for seed in range(6)]
    assert refit(model, remove="40%", align=8, text=given).losses == ()


def test_the_perplexity_ratio_has_the_interval_of_the_loss() -> None:
    loss = TextLoss(source="tales", blocks=9, divergence=0.2, added_loss=0.0, error=0.1)
    low, high = loss.perplexity_ratio.interval()
    assert low * high == pytest.approx(1)
    assert str(loss) == (
        "KL 0.200 nats a token, perplexity over dense 1.00 [0.79, 1.26], on 9 held-out blocks of "
        "tales"
    )
