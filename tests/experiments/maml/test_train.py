"""Meta-training: seeds, validation, the best checkpoint, and faults."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tiny_omniglot

from widthwise.errors import AssetError, LimitError
from widthwise.experiments.maml import (
    LayerScales,
    MamlSettings,
    MetaRecipe,
    Omniglot,
    meta_train,
    recipe_of,
)

SCALES = LayerScales(u=0.8, v=0.6, bias=0.7)
SHORT = MamlSettings(steps=20, epoch=5, tasks=8, validation_batches=4, test_batches=4)


@pytest.mark.parametrize(
    ("network", "width"), [("finite", 6), ("finite", 60), ("relu", 6), ("limit", None)]
)
def test_a_seed_decides_everything(data: Omniglot, network: str, width: int | None) -> None:
    def run(seed: int) -> Any:
        found = meta_train(data, network, width, seed=seed, settings=SHORT)
        return found.test, found.best_step, found.validation

    assert run(3) == run(3)
    assert run(3) != run(4)


def test_validations_come_every_epoch_and_the_best_is_kept(data: Omniglot) -> None:
    told: list[int] = []
    found = meta_train(data, "limit", settings=SHORT, on_step=told.append)
    assert told == list(range(1, 21))
    curve = dict(found.validation)
    assert list(curve) == [5, 10, 15, 20]
    assert curve[found.best_step or 0] == max(curve.values())
    assert found.test is not None
    assert found.test.tasks == 32


def test_the_checkpoint_that_was_best_is_tested_not_the_last(data: Omniglot) -> None:
    """Of a run whose second half ruins it: a shorter run ends at the same checkpoint."""
    recipe = MetaRecipe(lr=0.2, scales=SCALES)
    found = meta_train(data, "limit", settings=SHORT, recipe=recipe)
    assert found.best_step is not None
    until = MamlSettings(**{**vars(SHORT), "steps": found.best_step})
    again = meta_train(data, "limit", settings=until, recipe=recipe)
    assert again.test == found.test


def test_more_shots_help_and_more_ways_are_harder(data: Omniglot) -> None:
    def accuracy(ways: int, shots: int) -> float:
        kind = {"ways": ways, "shots": shots, "test_batches": 40}
        found = meta_train(data, "limit", settings=MamlSettings(**{**vars(SHORT), **kind}))
        assert found.test is not None
        return found.test.accuracy

    # 320 tasks and one seed each: shares differ by .05 and more, their errors are .02.
    assert accuracy(5, 3) > accuracy(5, 1) > accuracy(8, 1)


def test_tasks_that_the_images_do_not_give_are_refused(data: Omniglot) -> None:
    with pytest.raises(AssetError, match="test has 8 classes and a task takes 9"):
        meta_train(data, "limit", settings=MamlSettings(ways=9))


@pytest.mark.parametrize("network", ["finite", "limit"])
def test_a_run_that_diverges_has_a_reason_and_no_score(data: Omniglot, network: str) -> None:
    known = recipe_of(network, 6)
    recipe = MetaRecipe(lr=1e300, scales=known.scales, kernel=known.kernel)
    found = meta_train(data, network, 6, settings=SHORT, recipe=recipe)
    assert found.test is None
    assert found.best_step is None
    assert "diverged" in (found.reason or "")
    assert "learning rate below 1e+300" in (found.reason or "")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: recipe_of("deep", None),
            "one of finite, limit, relu, linear, gp, ntk; got 'deep'",
        ),
        (lambda: MamlSettings(ways=1), "ways must be at least 2; got 1"),
        (lambda: MamlSettings(shots=0), "shots must be at least 1; got 0"),
        (lambda: MamlSettings(ways=50, shots=20), "must be at most 500; got 50 x 20"),
        (lambda: MamlSettings(tasks=0), "tasks must be at least 1; got 0"),
        (lambda: MamlSettings(clip=float("nan")), "clip must be a number above 0; got nan"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(LimitError, match=message):
        make()


def test_omniglot_in_short() -> None:
    """100 meta-steps of the limit go past the kernels, which stay where the paper has them."""
    data = tiny_omniglot.real()
    short = MamlSettings(steps=100, validation_batches=5, test_batches=40)
    limit = meta_train(data, "limit", settings=short)
    flat = MamlSettings(steps=1, validation_batches=1, test_batches=40)
    gp, ntk = (meta_train(data, name, settings=flat) for name in ("gp", "ntk"))
    assert limit.test is not None
    assert gp.test is not None
    assert ntk.test is not None
    # 1 280 tasks have a standard error of 0.006: the paper's 47.6 and 47.8, with three of them.
    assert gp.test.accuracy == pytest.approx(0.476, abs=0.018)
    assert ntk.test.accuracy == pytest.approx(0.478, abs=0.018)
    assert limit.test.accuracy > max(gp.test.accuracy, ntk.test.accuracy) + 0.01
