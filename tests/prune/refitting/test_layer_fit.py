"""The ridge and the neurons of one layer."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import LAYERS, WIDTH, tiny
from layered_models import batches
from least_squares import closed_form, relative_error

from widthwise.arch import Target
from widthwise.cut import LEAST_LAM, MOST_LAM
from widthwise.prune import PruneSpec, make_plan
from widthwise.prune.calibration import calibrate
from widthwise.prune.refitting import RIDGES, Removal, Ridge, layer_fit, refit, refits
from widthwise.prune.refitting.layer_fit import best_ridge

LADDER = [10.0**power for power in range(-6, 5)]


@pytest.mark.parametrize(
    ("shared", "tokens", "low", "high"),
    [
        (0.0, 60, 2.0, MOST_LAM),  # nothing to learn, and much noise
        (0.3, 120, 2.0, 1e3),  # above the grid
        (1.0, 100_000, LEAST_LAM, 2e-3),  # all that is gone follows from what stays
    ],
)
def test_a_ridge_at_an_end_of_the_grid_is_followed_until_it_is_inside(
    shared: float, tokens: int, low: float, high: float
) -> None:
    generator = torch.Generator().manual_seed(0)

    def moment() -> torch.Tensor:
        common = torch.randn(tokens, 5, generator=generator, dtype=torch.float64)
        own = torch.randn(tokens, WIDTH, generator=generator, dtype=torch.float64)
        rows = shared * common.repeat(1, 11)[:, :WIDTH] + (1.01 - shared) * own
        return rows.T @ rows / tokens

    fit, held_out, kept = moment(), moment(), WIDTH // 2
    weight = torch.randn(WIDTH, 8, generator=generator, dtype=torch.float64)
    lam = best_ridge(fit, *(Removal(each, weight, kept) for each in (fit, held_out)), "")
    errors = {
        each: relative_error(
            held_out, weight, range(kept), closed_form(fit, weight, range(kept), each)
        )
        for each in LADDER
    }
    assert lam == pytest.approx(min(errors, key=errors.__getitem__))
    assert low <= lam <= high


def test_the_ridge_is_the_best_on_the_held_out_half_and_errors_are_of_both_halves() -> None:
    model = tiny("llama")
    calibration = calibrate(model, text=batches())
    selection = PruneSpec(target=Target("width", "26"), align=1, criterion="activation")
    (done,) = refits(model, [selection], calibration)
    for layer, fit in enumerate(done.layers):
        halves = calibration.groups[layer]
        moment, held_out = halves.fit.mean(""), halves.held_out.mean("")
        weight = model.model.layers[layer].mlp.down_proj.weight.detach().double().T
        keep = torch.tensor(done.plan.keep[layer])
        values = {lam: closed_form(moment, weight, keep, lam) for lam in LADDER}
        errors = {lam: relative_error(held_out, weight, keep, v) for lam, v in values.items()}
        best = min(errors, key=errors.__getitem__)
        assert fit.lam == pytest.approx(best)  # a power of ten, by steps
        assert fit.held_out_error == pytest.approx(errors[best], rel=1e-6)
        own = relative_error(moment, weight, keep, values[best])
        assert fit.fit_error == pytest.approx(own, rel=1e-6)
        assert fit.fit_error < fit.held_out_error
        assert len(fit.curve) == WIDTH + 1
        assert all(a >= b for a, b in zip(fit.curve, fit.curve[1:], strict=False))


@pytest.mark.parametrize("criterion", ["activation", "obs", "ppm", "random"])
def test_many_widths_from_one_factorisation_are_those_of_one_each(
    criterion: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny("phi3")
    calibration = calibrate(model, text=batches())
    chosen = [
        PruneSpec(target=Target("width", str(width)), align=1, criterion=criterion, seed=2)
        for width in (40, 26, 13)
    ]
    counted: list[int] = []
    init = Ridge.__init__
    monkeypatch.setattr(
        Ridge, "__init__", lambda self, *given: (counted.append(1), init(self, *given))[1]
    )
    together = refits(model, chosen, calibration)
    tried = len(counted)
    assert tried >= LAYERS * (len(RIDGES) + 1)
    counted.clear()
    refits(model, chosen[:1], calibration)
    assert len(counted) == tried  # none for a width
    for done, selection in zip(together, chosen, strict=True):
        (alone,) = refits(model, [selection], calibration)
        assert done.plan == alone.plan
        for down, other in zip(done.down, alone.down, strict=True):  # float32, by wider factors
            torch.testing.assert_close(down, other, rtol=1e-4, atol=1e-6)
        plan = make_plan(
            model, width=done.plan.width, align=1, criterion=criterion, seed=2,
            **({"calibration": calibration} if criterion in ("activation", "obs") else {}),
        )  # fmt: skip
        assert plan.keep == done.plan.keep
    assert set(together[2].plan.keep[0]) < set(together[1].plan.keep[0])


def test_a_refit_is_made_in_float32_whatever_the_caller_trains_in(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """TF32 has ten bits, and the residual that would show it is made of the same products."""
    seen = []

    def looked(*arguments: Any) -> float:
        seen.append(torch.backends.cuda.matmul.fp32_precision)
        return best_ridge(*arguments)

    monkeypatch.setattr(layer_fit, "best_ridge", looked)
    torch.set_float32_matmul_precision("high")
    try:
        refit(tiny("llama"), width=24, align=1, text=batches())
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == ["ieee"] * LAYERS
