"""Augmentation and training: what chance does, the same by seed, detail, and numbers gone bad."""

from __future__ import annotations

import pytest
import tiny_photos
import torch
from grating_photos import photos

from widthwise.errors import RunError
from widthwise.tinynet import (
    Multipliers,
    TrainingRecipe,
    correct_mask,
    trained_network,
)

WHOLE = Multipliers(resolution=1.0, depth=1.0, width=1.0)


def test_resolution_matters_where_classes_differ_in_fine_detail() -> None:
    """At 32 px stripes are seen; at 8 px they are gone: 64 photos, so chance is 0.5 ± 0.0625."""
    family, recipe = tiny_photos.Toy(), TrainingRecipe(epochs=8, batch=16)
    train, test = photos(96), photos(64, seed=1)
    shares = {}
    for side in (8, 32):
        scale = Multipliers(resolution=side / 32, depth=1.0, width=1.0)
        net, _ = trained_network(family, scale, train, recipe=recipe)
        shares[side] = sum(correct_mask(net, test, side)) / 64
    assert shares[32] > 0.9
    assert abs(shares[8] - 0.5) < 4 * 0.0625


def test_training_is_the_same_by_its_seed_and_leaves_torch_alone() -> None:
    family, recipe = tiny_photos.Toy(), TrainingRecipe(epochs=1, batch=16)
    before = torch.get_rng_state()
    nets = [trained_network(family, WHOLE, photos(40), recipe=recipe, seed=s) for s in (3, 3, 4)]
    assert torch.equal(before, torch.get_rng_state())
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net, _ in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert nets[0][1] == nets[1][1]


def test_before_training_all_classes_are_even() -> None:
    """The first loss is log 2 to rounding, whatever the family's own start."""
    recipe = TrainingRecipe(
        epochs=1, batch=40, warm_up=0.5
    )  # a single step, at a learning rate of 0
    _, loss = trained_network(tiny_photos.Toy(), WHOLE, photos(40), recipe=recipe)
    assert loss == pytest.approx(0.6931472, abs=1e-6)


def test_a_loss_that_is_not_finite_is_a_clean_error() -> None:
    recipe = TrainingRecipe(epochs=2, batch=16, lr=1e30)
    with pytest.raises(RunError, match=r"the loss at step \d+ of 4 is not finite; .* below 1e\+30"):
        trained_network(tiny_photos.Toy(), WHOLE, photos(40), recipe=recipe)


def test_answers_that_are_not_finite_are_a_clean_error() -> None:
    net, _ = trained_network(
        tiny_photos.Toy(), WHOLE, photos(8), recipe=TrainingRecipe(epochs=1, batch=4)
    )
    with torch.no_grad():
        next(net.parameters()).fill_(torch.nan)
    with pytest.raises(RunError, match="answers are not finite"):
        correct_mask(net, photos(4), 32)


def test_one_photo_and_impossible_recipes_are_refused() -> None:
    with pytest.raises(RunError, match="needs 2 photos or more; got 1"):
        trained_network(tiny_photos.Toy(), WHOLE, photos(1))
    for options in ({"epochs": 0}, {"lr": 0.0}, {"lr": float("nan")}, {"warm_up": 1.0}):
        with pytest.raises(RunError):
            TrainingRecipe(**options)  # type: ignore[arg-type]
