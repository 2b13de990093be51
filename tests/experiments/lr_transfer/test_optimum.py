"""Best learning rates by parabolas, and what their shift may be called."""

from __future__ import annotations

from dataclasses import replace
from math import inf, log2
from typing import Any

import pytest
from planted_losses import RATES, planted

from widthwise.errors import LimitError
from widthwise.experiments.lr_transfer import (
    TrainingRun,
    check_grid,
    loss_sentences,
    optimum_shifts,
)


@pytest.mark.parametrize("rates", [RATES, (0.003, 0.011, 0.02, 0.05, 0.2)])
@pytest.mark.parametrize("power", [0.0, -0.5, 0.25])
def test_the_lowest_point_of_a_parabola_is_found(power: float, rates: tuple[float, ...]) -> None:
    """Exactly, whatever the rates: three points are a parabola."""
    found = planted(power, rates=rates)
    for curve in found.curves:
        assert curve.optima == pytest.approx([-5.3 + power * log2(curve.width / 64)] * 4)
        assert curve.best is not None
        assert curve.best.standard_error == pytest.approx(0, abs=1e-9)
    assert found.slope is not None
    assert found.slope.value == pytest.approx(power)


@pytest.mark.parametrize(
    ("power", "noise", "verdict", "said"),
    [
        (0.0, 0.05, "stays", "the best learning rate stays: "),
        (-0.5, 0.05, "shifts", "the best learning rate shifts: -0."),
        (-0.24, 0.1, "shifts", "the best learning rate shifts: -0."),  # not all within the margin
        (0.0, 0.6, "undecided", "it is not decided whether the best learning rate stays: "),
    ],
)
def test_nothing_is_claimed_that_the_interval_does_not_carry(
    power: float, noise: float, verdict: str, said: str
) -> None:
    found = planted(power, noise=noise)
    assert (found.verdict, found.sentence.startswith(f"muP: {said}")) == (verdict, True)
    assert found.slope is not None
    low, high = found.slope.interval()
    assert low <= power <= high
    # Student's quantile of three degrees of freedom
    assert (high - low) / 2 == pytest.approx(3.1824 * found.slope.standard_error, rel=1e-4)


@pytest.mark.parametrize(
    ("middle", "said"),
    [
        (-9.4, "of 4 of 4 seeds is the lowest of --learning-rates (0.003906); add lower ones"),
        (-2.0, "of 4 of 4 seeds is the highest of --learning-rates (0.125); add higher ones"),
    ],
)
def test_an_optimum_at_an_end_of_the_rates_is_missing_with_what_to_add(
    middle: float, said: str
) -> None:
    found = planted(0.0, middle=middle)
    assert [curve.best for curve in found.curves] == [None] * 3
    assert (found.slope, found.verdict) == (None, None)
    assert "muP: whether the best learning rate stays is not known: at width 64" in found.sentence
    assert said in found.sentence


def test_diverged_runs_are_worse_than_all_others() -> None:
    beside = planted(0.0, middle=-4.9, diverged=(2.0**-4, 2.0**-3))
    assert beside.curves[0].optima == (None,) * 4
    assert "beside it a run diverged" in beside.sentence
    far = planted(0.0, diverged=(2.0**-3,))
    assert far.curves[0].optima == pytest.approx([-5.3] * 4)
    assert far.curves[0].losses[0, -1] == inf
    nothing = planted(0.0, diverged=RATES)
    assert nothing.curves[0].optima == (None,) * 4


def test_runs_that_are_missing_are_told() -> None:
    runs = [
        TrainingRun(kind="sp", width=w, lr=lr, seed=s, loss=1.0, reason=None, duration_sec=0.0)
        for w in (64, 128) for lr in (1, 2, 3) for s in (0, 1)
    ]  # fmt: skip
    with pytest.raises(LimitError, match="every width must have been trained with every"):
        optimum_shifts(runs[:-1])


@pytest.mark.parametrize(
    ("widths", "rates", "seeds", "said"),
    [
        ((64,), RATES, 2, "widths must be at least 2 different ones; got 64"),
        ((64, 64), RATES, 2, "widths must be at least 2 different ones; got 64, 64"),
        ((64, 128), (0.1, 0.2), 2, "learning rates must be at least 3"),
        ((64, 128), (0.0, 0.1, 0.2), 2, "must be finite numbers above 0; got 0"),
        ((64, 128), RATES, 1, "at least 2 seeds; got 1"),
    ],
)
def test_too_little_to_compare_is_refused(widths: Any, rates: Any, seeds: int, said: str) -> None:
    with pytest.raises(LimitError, match=said):
        check_grid(widths, rates, seeds)


def test_nothing_is_read_from_rates_far_apart() -> None:
    """A parabola through losses 25 octaves off would have its lowest point anywhere."""
    found = planted(0.0, rates=(1e-9, 2.0**-5, 1e3))
    assert found.curves[0].optima == (None,) * 4
    assert found.verdict is None


def test_losses_of_the_widest_networks_are_set_beside_those_of_mup() -> None:
    """Paired by seeds, whose own losses drop out; nothing is said of what diverged."""
    runs = [
        TrainingRun(
            kind=kind,
            width=width,
            lr=2.0**k,
            seed=seed,
            loss=(k + 5) ** 2 + 10 * seed + more + 0.001 * seed * (kind != "mup"),
            reason=None,
            duration_sec=0,
        )
        for kind, more in (("sp", 0.25), ("sp-embedding", 0.0), ("mup", 0.0))
        for width in (64, 128)
        for k in range(-7, -3)
        for seed in range(3)
    ]
    found = loss_sentences(optimum_shifts(runs))
    assert found == [
        "standard at width 128: 0.251 [0.249, 0.253] nats a token more than muP, each at its "
        "best learning rate of those tried.",
        "standard, faster embedding at width 128: 0.001 [-0.001, 0.003] nats a token more than "
        "muP, each at its best learning rate of those tried.",
    ]
    lost = [replace(run, loss=None, reason="it") if run.kind == "sp" else run for run in runs]
    assert len(loss_sentences(optimum_shifts(lost))) == 1
    assert loss_sentences(optimum_shifts([run for run in runs if run.kind == "sp"])) == []
