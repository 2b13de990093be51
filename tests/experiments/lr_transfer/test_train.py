"""Learning-rate transfer: planted optima, training on real text, records that go on, refusals."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch

from widthwise.experiments.lr_transfer import (
    TokenRows,
    TrainingSettings,
    train_small,
)
from widthwise.experiments.lr_transfer.train import _batches
from widthwise.mup import glu_family, small_network

FAMILY = glu_family(vocabulary=256, tokens=16)
SHORT = TrainingSettings(steps=3, rows=4, tokens=16, base=16)


def test_at_the_base_width_both_parametrizations_are_the_same_network(text: TokenRows) -> None:
    one, two = (train_small(text, FAMILY, (kind, 16, 0.02, 3), SHORT) for kind in ("sp", "mup"))
    assert one.loss == two.loss
    wide = [train_small(text, FAMILY, (kind, 32, 0.02, 3), SHORT).loss for kind in ("sp", "mup")]
    assert wide[0] != wide[1]
    assert train_small(text, FAMILY, ("mup", 32, 0.02, 3), SHORT).loss == wide[1]
    assert train_small(text, FAMILY, ("mup", 32, 0.02, 4), SHORT).loss != wide[1]


def test_twice_the_width_halves_the_rates_of_hidden_weights_and_heads_in_mup_only() -> None:
    for kind, by in (("mup", 0.5), ("sp", 1.0)):
        network = small_network(replace(FAMILY, base=16), 32, 0, lr=0.1, kind=kind)
        rates = {
            id(p): group["lr"] for group in network.optimizer.param_groups for p in group["params"]
        }
        for name, parameter in network.model.named_parameters():
            scaled = parameter.ndim > 1 and "embed" not in name
            assert rates[id(parameter)] == pytest.approx(0.1 * by if scaled else 0.1), name


def test_networks_learn_from_what_they_read(text: TokenRows) -> None:
    """Below the loss of a guess among 256 bytes, and lower the longer."""
    losses = [
        train_small(
            text,
            FAMILY,
            ("mup", 16, 0.01, 0),
            TrainingSettings(steps=n, rows=8, tokens=16, base=16),
        ).loss
        for n in (1, 40)
    ]
    assert losses[0] is not None
    assert losses[1] is not None
    assert log(256) > losses[0] > losses[1] + 1


def test_batches_are_by_seed_and_go_through_the_text_before_they_repeat_it() -> None:
    rows = torch.arange(10)[:, None]
    training = TrainingSettings(steps=10, rows=4, tokens=2)
    batches = [batch[:, 0].tolist() for batch in _batches(rows, training, 1)]
    flat = [one for batch in batches for one in batch]
    assert [len(batch) for batch in batches] == [4] * 10
    assert all(sorted(flat[i : i + 10]) == list(range(10)) for i in (0, 10, 20, 30))
    assert [b[:, 0].tolist() for b in _batches(rows, training, 1)] == batches
    assert [b[:, 0].tolist() for b in _batches(rows, training, 2)] != batches


def test_a_run_that_diverges_has_its_reason(text: TokenRows) -> None:
    found = train_small(text, FAMILY, ("mup", 16, 1e30, 0), SHORT)
    assert found.loss is None
    assert found.reason is not None
    assert found.reason.startswith("training diverged: the loss before step ")
