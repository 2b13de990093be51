"""The refit of down_proj: its closed form at every width, its error, its order, its ridge."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from families import FAMILIES, LAYERS, VOCAB, WIDTH, tiny

from widthwise import Nested, apply
from widthwise.arch import Target
from widthwise.cut import LEAST_LAM, MOST_LAM
from widthwise.errors import PlanError, RunError
from widthwise.prune import PruneSpec, make_plan
from widthwise.prune.calibration import calibrate
from widthwise.prune.refitting import RIDGES, Ridge, obs_order, refit, refits
from widthwise.prune.refitting.layer_fit import _best_ridge
from widthwise.prune.refitting.ridge import cholesky, damped, output_power, weight_fallback

M, D, N = 11, 5, 60


def relative_error(moment: Any, weight: Any, kept: Any, values: Any) -> float:
    """Mean squared error of the output, over that of the output itself: 0 none, 1 as if cut off."""
    lost = output_power(moment, weight_fallback(weight, kept, values))
    return lost / output_power(moment, weight)


def problem(seed: int = 0, neurons: int = M) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Activations of correlated neurons, their mean second moment, and weights; float64."""
    generator = torch.Generator().manual_seed(seed)
    mix = torch.randn(neurons, neurons, generator=generator, dtype=torch.float64)
    rows = torch.randn(N, neurons, generator=generator, dtype=torch.float64) @ mix
    weight = torch.randn(neurons, D, generator=generator, dtype=torch.float64)
    return rows, rows.T @ rows / N, weight


def batches(low: int = 3, high: int = VOCAB, count: int = 4, seed: int = 3) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(seed)
    return [
        {"input_ids": torch.randint(low, high, (4, 40), generator=generator)} for _ in range(count)
    ]


def exact_loss(moment: np.ndarray, weight: np.ndarray, kept: list[int]) -> float:
    """min over V of tr[(W - E V)^T H (W - E V)], by the normal equations."""
    lost = weight.copy()
    if kept:
        lost[kept] -= np.linalg.solve(moment[np.ix_(kept, kept)], moment[kept] @ weight)
    return float(np.trace(lost.T @ moment @ lost))


@pytest.mark.parametrize("lam", [0.0, 1e-3, 1.0])
def test_the_refit_is_the_closed_form_at_every_width(lam: float) -> None:
    """V = (H_SS + lam I)^-1 (H_S: W + lam W_S), by numpy; condition below 1e5, so 1e-9."""
    _, moment, weight = problem()
    order = torch.randperm(M, generator=torch.Generator().manual_seed(1))
    ridge = Ridge(moment, weight, order, lam, "layer 0")
    h, w, mu = moment.numpy(), weight.numpy(), lam * float(moment.diagonal().mean())
    for k in range(1, M + 1):
        s = order[:k].numpy()
        left = h[np.ix_(s, s)] + mu * np.eye(k)
        expected = np.linalg.solve(left, h[s] @ w + mu * w[s])
        np.testing.assert_allclose(ridge.at(k).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_without_a_ridge_the_refit_is_least_squares_on_the_activations() -> None:
    rows, moment, weight = problem(1)
    order = torch.arange(M)
    ridge = Ridge(moment, weight, order, 0.0, "layer 0")
    for k in range(1, M + 1):
        expected = np.linalg.lstsq(rows[:, :k].numpy(), (rows @ weight).numpy(), rcond=None)[0]
        np.testing.assert_allclose(ridge.at(k).numpy(), expected, rtol=1e-8, atol=1e-8)


def test_a_large_ridge_leaves_the_weights_as_they_were() -> None:
    _, moment, weight = problem()
    order = torch.arange(M)
    left = Ridge(moment, weight, order, 1e9, "layer 0").at(6)
    torch.testing.assert_close(left, weight[:6], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("lam", [0.0, 1e-2])
def test_the_curve_is_the_loss_at_every_width(lam: float) -> None:
    _, moment, weight = problem(2)
    order = torch.randperm(M, generator=torch.Generator().manual_seed(4))
    ridge = Ridge(moment, weight, order, lam, "layer 0")
    curve, matrix = ridge.curve(), damped(moment, lam)
    assert curve.shape == (M + 1,)
    for k in range(M + 1):
        values = ridge.at(k) if k else weight[:0]
        direct = relative_error(matrix, weight, order[:k], values)
        assert float(curve[k]) == pytest.approx(direct, abs=1e-12)
        assert float(curve[k]) == pytest.approx(
            exact_loss(matrix.numpy(), weight.numpy(), order[:k].tolist())
            / exact_loss(matrix.numpy(), weight.numpy(), []),
            abs=1e-12,
        )


def test_obs_deletes_what_an_exhaustive_search_finds_cheapest() -> None:
    """One at a time: each deletion is the one whose refit leaves the least loss, of all left."""
    for seed in range(5):
        _, moment, weight = problem(seed, 8)
        matrix = damped(moment, 1e-2).numpy()
        order = obs_order(moment, weight, "layer 0", rounds=8).tolist()
        for k in range(7, 0, -1):
            losses = {
                gone: exact_loss(matrix, weight.numpy(), [i for i in order[: k + 1] if i != gone])
                for gone in order[: k + 1]
            }
            assert order[k] == min(losses, key=losses.__getitem__)


def test_obs_in_blocks_is_a_whole_order_and_nearly_as_good() -> None:
    """16 rounds of 4 instead of 64: the loss at half the width is within a tenth."""
    _, moment, weight = problem(5, 64)
    losses = []
    for rounds in (64, 16):
        order = obs_order(moment, weight, "layer 0", rounds=rounds)
        assert sorted(order.tolist()) == list(range(64))
        losses.append(float(Ridge(moment, weight, order, 1e-2, "layer 0").curve()[32]))
    assert losses[1] < 1.1 * losses[0]


def test_obs_beats_the_activation_score_where_neurons_repeat_each_other() -> None:
    """Neuron i + 4 copies neuron i: the four largest, two pairs, can do without their copies."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(400, 4, generator=generator, dtype=torch.float64)
    rows = torch.cat([rows, rows + 0.01 * torch.randn(400, 4, generator=generator)], 1)
    rows[:, [0, 1, 4, 5]] *= 3
    moment = rows.T @ rows / 400
    weight = torch.randn(8, D, generator=generator, dtype=torch.float64)
    best = min(
        exact_loss(moment.numpy(), weight.numpy(), list(c)) for c in combinations(range(8), 4)
    )
    kept = obs_order(moment, weight, "layer 0", rounds=8)[:4].tolist()
    assert {i % 4 for i in kept} == {0, 1, 2, 3}
    assert exact_loss(moment.numpy(), weight.numpy(), kept) < 2 * best


def test_numbers_that_allow_no_refit_are_told() -> None:
    _, moment, weight = problem()
    flat = torch.ones(M, M, dtype=torch.float64)
    with pytest.raises(RunError, match=r"layer 0: .* not positive definite .* calibrate on more"):
        Ridge(flat - 0.1 * torch.eye(M), weight, torch.arange(M), 0.0, "layer 0")
    with pytest.raises(RunError, match="not positive definite"):
        cholesky(torch.full((3, 3), float("nan"), dtype=torch.float64), "layer 0")
    with pytest.raises(RunError, match=r"layer 0: no neuron of it is active .* are zeros"):
        cholesky(torch.zeros(3, 3, dtype=torch.float64), "layer 0")
    weight[0, 0] = float("inf")
    with pytest.raises(RunError, match="the refit is not finite"):
        Ridge(moment, weight, torch.arange(M), 0.0, "layer 0").at(4)


def test_a_neuron_that_is_always_silent_is_no_trouble_and_goes_first() -> None:
    rows, _, weight = problem()
    rows[:, 3] = 0
    moment = rows.T @ rows / N
    order = obs_order(moment, weight, "layer 0", rounds=M)
    assert order[-1] == 3
    assert torch.isfinite(Ridge(moment, weight, order, 1e-3, "layer 0").at(M)).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_a_refit_is_better_than_a_cut_in_every_family(family: str) -> None:
    """The last hidden states on the text itself, so that the outcome is not left to chance."""
    model, given = tiny(family), batches()
    before = copy.deepcopy(model.state_dict())
    done = refit(model, width=20, align=1, text=given)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    with torch.no_grad():
        dense, cut, fitted = (
            torch.cat([m.model(**batch).last_hidden_state for batch in given])
            for m in (model, apply(model, done.plan), apply(model, done.plan, done))
        )
    assert (fitted - dense).square().mean() < (cut - dense).square().mean()


def test_biases_stay() -> None:
    model = tiny("llama", mlp_bias=True)
    narrow = apply(model, (done := refit(model, width=20, align=1, text=batches())).plan, done)
    for dense, cut in zip(model.model.layers, narrow.model.layers, strict=True):
        assert torch.equal(dense.mlp.down_proj.bias, cut.mlp.down_proj.bias)
        assert len(cut.mlp.up_proj.bias) == 20


def test_each_layer_is_fitted_behind_the_layers_already_cut() -> None:
    """Layer 1 by hand: moments of the model whose layer 0 alone is narrow, solved by numpy."""
    model, given = tiny("llama"), batches()
    done = refit(model, width=20, align=1, text=given)
    narrow = apply(model, done.plan, done)
    mixed = copy.deepcopy(model)
    mixed.model.layers[0] = narrow.model.layers[0]
    seen: list[torch.Tensor] = []
    down = mixed.model.layers[1].mlp.down_proj
    down.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].flatten(0, 1)))
    with torch.no_grad():
        for batch in given:
            mixed(**batch)
    h = torch.cat(seen).double().numpy()
    moment, w = h.T @ h / len(h), down.weight.detach().double().numpy().T
    s, mu = np.array(done.plan.keep[1]), done.layers[1].lam * np.trace(h.T @ h / len(h)) / WIDTH
    left = moment[np.ix_(s, s)] + mu * np.eye(20)
    expected = np.linalg.solve(left, moment[s] @ w + mu * w[s]).T
    got = done.down[1].double().numpy()
    np.testing.assert_allclose(got, expected, atol=2e-5 * np.abs(expected).max())  # float32 sums
    one_pass = refit(model, width=20, align=1, text=given, sequential=False)
    assert torch.equal(one_pass.down[0], done.down[0])
    assert not torch.allclose(one_pass.down[1], done.down[1], rtol=1e-3)


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

    fit, held_out, order = moment(), moment(), torch.arange(WIDTH)
    weight = torch.randn(WIDTH, 8, generator=generator, dtype=torch.float64)
    lam, _ = _best_ridge(fit, held_out, weight, order, "")
    kept = order[: WIDTH // 2]
    errors = {
        each: relative_error(
            held_out, weight, kept, Ridge(fit, weight, order, each, "").at(len(kept))
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
        halves = calibration.layers[layer]
        moment, held_out = halves.fit.mean(""), halves.held_out.mean("")
        weight = model.model.layers[layer].mlp.down_proj.weight.detach().double().T
        keep = torch.tensor(done.plan.keep[layer])
        order = torch.cat([keep, torch.tensor([i for i in range(WIDTH) if i not in keep])])
        values = {lam: Ridge(moment, weight, order, lam, "").at(26) for lam in LADDER}
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
        assert all(torch.equal(a, b) for a, b in zip(done.down, alone.down, strict=True))
        plan = make_plan(
            model, width=done.plan.width, align=1, criterion=criterion, seed=2,
            **({"calibration": calibration} if criterion in ("activation", "obs") else {}),
        )  # fmt: skip
        assert plan.keep == done.plan.keep
    assert set(together[2].plan.keep[0]) < set(together[1].plan.keep[0])


def test_at_the_width_of_the_dense_model_nothing_would_be_lost() -> None:
    _, moment, weight = problem()
    ridge = Ridge(moment, weight, torch.arange(M), 1.0, "layer 0")
    torch.testing.assert_close(ridge.at(M), weight)
    assert ridge.curve()[M] == 0


def test_too_little_text_for_a_refit_is_told() -> None:
    few = [{"input_ids": b["input_ids"][:1]} for b in batches(count=2)]
    with pytest.raises(
        RunError, match=r"at least as many tokens as neurons .* here 53; got 40 and"
    ):
        refit(tiny("llama"), width=20, align=1, text=few)
    calibration = calibrate(tiny("llama"), text=few)
    selection = PruneSpec(target=Target("width", "20"), align=1, criterion="obs")
    with pytest.raises(RunError, match="calibrate on at least 106 tokens"):
        refits(tiny("llama"), [selection], calibration)


def test_refits_of_a_text_are_those_of_its_calibration(llama: Any) -> None:
    selections = [
        PruneSpec(target=Target("width", str(width)), align=1, criterion="activation")
        for width in (20, 31)
    ]
    kept = refits(llama, selections, calibrate(llama, text=batches()))
    streamed = refits(llama, selections, batches())
    for one, other in zip(kept, streamed, strict=True):
        assert (one.plan, one.parts) == (other.plan, other.parts)
        assert all(map(torch.equal, one.down, other.down))


def test_each_layer_may_have_a_width_of_its_own(llama: Any) -> None:
    widths = list(range(20, 20 + LAYERS))
    done = refit(llama, width=20, align=1, text=batches(), sequential=False, widths=widths)
    assert [len(keep) for keep in done.plan.keep] == widths
    assert [down.shape[1] for down in done.down] == widths
    with pytest.raises(PlanError, match="numbers of neurons, 1 to 53 each"):
        refit(llama, width=20, align=1, text=batches(), widths=[20, *[0] * (LAYERS - 1)])
    with pytest.raises(PlanError, match="numbers of neurons, 1 to 53 each"):
        refit(llama, width=20, align=1, text=batches(), widths=[True] * LAYERS)


def test_another_language_in_the_held_out_half_is_warned_of() -> None:
    """Words of one half of the vocabulary to fit, of the other half to hold out."""
    model = tiny("llama")
    strange = [b for pair in zip(batches(3, 20), batches(60), strict=True) for b in pair]
    warning = str(refit(model, width=20, align=1, text=strange).warning)
    assert re.search(r"times worse on the held-out half|took the largest ridge", warning)
    assert warning.endswith(
        "calibrate on more text, and on text such as the model will be used for"
    )
    plenty = [b for seed in range(40) for b in batches(seed=seed)]
    assert refit(model, width=20, align=1, text=plenty).warning is None


def test_ridges_at_the_largest_that_is_tried_are_said(llama: Any) -> None:
    done = refit(llama, width=20, align=1, text=[b for seed in range(40) for b in batches(seed)])
    assert done.warning is None
    first, *others = done.layers
    stuck = replace(done, layers=(replace(first, lam=MOST_LAM), *others))
    assert str(stuck.warning).startswith(f"1 of {len(done.layers)} layers took the largest ridge")


def test_what_belongs_to_another_model_or_plan_is_refused(llama: Any) -> None:
    calibration = calibrate(llama, text=batches())
    selection = PruneSpec(target=Target("width", "20"), align=1, criterion="activation")
    with pytest.raises(PlanError, match="GLU weights are not those of"):
        refits(tiny("llama", seed=1), [selection], calibration)
    with pytest.raises(PlanError, match="of one criterion and seed"):
        refits(llama, [selection, PruneSpec(target=Target("width", "9"))], calibration)
    (done,) = refits(llama, [selection], calibration)
    other = make_plan(llama, width=20, align=1)
    with pytest.raises(PlanError, match=r"a refit belongs to its own plan; pass refit\.plan"):
        apply(llama, other, done)


def test_obs_without_a_refit_is_refused_unless_insisted_on(llama: Any) -> None:
    plan = make_plan(llama, width=20, align=1, criterion="obs", calibration=batches())
    with pytest.raises(PlanError, match=r"obs without a refit are worse than .* by activation"):
        apply(llama, plan)
    assert apply(llama, plan, False).config.intermediate_size == 20
    with pytest.raises(PlanError, match="criterion obs needs second moments"):
        Nested(llama).sort("obs")
