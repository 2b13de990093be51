"""The refit of down_proj: its closed form at every width, its error, its order, its ridge."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from every_family import tiny_model
from families import FAMILIES, LAYERS, WIDTH, tiny
from family_trials import inputs
from layered_models import batches

from widthwise import Nested, apply
from widthwise.arch import Target
from widthwise.cut.checkpoint import by_layers
from widthwise.errors import PlanError, RunError, UnsupportedModelError
from widthwise.prune import PruneSpec, make_plan
from widthwise.prune.calibration import calibrate
from widthwise.prune.refitting import refit, refits


@pytest.mark.parametrize("family", FAMILIES)
def test_a_refit_is_better_than_a_cut_in_every_family(family: str) -> None:
    """The last hidden states on the text itself, so that the outcome is not left to chance."""
    model, given = tiny(family), batches()
    before = copy.deepcopy(model.state_dict())
    done = refit(model, width=20, align=1, text=given, scales=False)
    assert all(torch.equal(before[name], now) for name, now in model.state_dict().items())
    with torch.no_grad():
        dense, cut, fitted = (
            torch.cat([m.model(**batch).last_hidden_state for batch in given])
            for m in (model, apply(model, done.plan), apply(model, done.plan, done))
        )
    assert (fitted - dense).square().mean() < (cut - dense).square().mean()


def test_biases_stay() -> None:
    model = tiny("llama", mlp_bias=True)
    narrow = apply(
        model, (done := refit(model, width=20, align=1, text=batches(), scales=False)).plan, done
    )
    for dense, cut in zip(model.model.layers, narrow.model.layers, strict=True):
        assert torch.equal(dense.mlp.down_proj.bias, cut.mlp.down_proj.bias)
        assert len(cut.mlp.up_proj.bias) == 20


def test_each_layer_is_fitted_behind_the_layers_already_cut() -> None:
    """Layer 1 by hand: moments of the model whose layer 0 alone is narrow, solved by numpy."""
    model, given = tiny("llama"), batches()
    done = refit(model, width=20, align=1, text=given, scales=False)
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
    one_pass = refit(model, width=20, align=1, text=given, scales=False, sequential=False)
    assert torch.equal(one_pass.down[0], done.down[0])
    assert not torch.allclose(one_pass.down[1], done.down[1], rtol=1e-3)


def test_too_little_text_for_a_refit_is_told() -> None:
    few = [{"input_ids": b["input_ids"][:1]} for b in batches(count=2)]
    with pytest.raises(
        RunError, match=r"at least as many tokens as a layer has neurons, 53; got 40 and"
    ):
        refit(tiny("llama"), width=20, align=1, text=few)
    calibration = calibrate(tiny("llama"), text=few)
    selection = PruneSpec(target=Target("width", "20"), align=1, criterion="obs")
    with pytest.raises(RunError, match="calibrate on at least 1,024 tokens"):
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
    done = refit(
        llama, width=20, align=1, text=batches(), scales=False, sequential=False, widths=widths
    )
    assert [len(keep) for keep in done.plan.keep] == widths
    assert [down.shape[1] for down in done.down] == widths
    with pytest.raises(PlanError, match="numbers of neurons, 1 to 53 each"):
        refit(
            llama, width=20, align=1, text=batches(), scales=False, widths=[20, *[0] * (LAYERS - 1)]
        )
    with pytest.raises(PlanError, match="numbers of neurons, 1 to 53 each"):
        refit(llama, width=20, align=1, text=batches(), scales=False, widths=[True] * LAYERS)


def test_what_belongs_to_another_model_or_plan_is_refused(llama: Any) -> None:
    calibration = calibrate(llama, text=batches())
    selection = PruneSpec(target=Target("width", "20"), align=1, criterion="activation")
    with pytest.raises(PlanError, match="GLU weights are not those of"):
        refits(tiny("llama", seed=1), [selection], calibration)
    with pytest.raises(PlanError, match="have the same criterion, seed"):
        refits(
            llama, [selection, PruneSpec(target=Target("width", "9"), criterion="ppm")], calibration
        )
    (done,) = refits(llama, [selection], calibration)
    other = make_plan(llama, width=20, align=1, criterion="ppm")
    with pytest.raises(
        PlanError, match=r"the refit was made for another plan; pass its plan, refit\.plan"
    ):
        apply(llama, other, done)


def test_obs_without_a_refit_is_refused_unless_insisted_on(llama: Any) -> None:
    plan = make_plan(llama, width=20, align=1, criterion="obs", calibration=batches())
    with pytest.raises(PlanError, match=r"obs without a refit are worse than .* by activation"):
        apply(llama, plan)
    assert apply(llama, plan, False).config.intermediate_size == 20
    with pytest.raises(PlanError, match="criterion obs needs second moments"):
        Nested(llama).sort("obs")


def test_widths_of_layers_are_refused_for_a_mixture_before_any_work() -> None:
    given = [{"input_ids": torch.randint(3, 128, (4, 40))} for _ in range(4)]
    with pytest.raises(UnsupportedModelError, match=r"a width for each layer \(widths\) works on"):
        refit(tiny_model("mixtral"), width=20, align=1, text=given, widths=[20] * 3)


@pytest.mark.parametrize("family", ["llama", "mixtral", "gemma3n_text", "t5"])
def test_a_refit_that_reads_layers_as_it_goes_is_that_of_the_model_in_memory(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit, though no layer stays in memory: none is there twice, and all are read again."""
    monkeypatch.setattr(by_layers, "KEPT_BYTES", 0)
    model = tiny_model(family)
    model.save_pretrained(tmp_path)
    text = [inputs(model, seed, 4, 40) for seed in range(6)]
    whole = refit(model, remove="40%", align=8, text=text, scales=False)
    done = refit(str(tmp_path), remove="40%", align=8, text=text, scales=False)
    assert done.plan.keep == whole.plan.keep
    assert all(torch.equal(a, b) for a, b in zip(done.down, whole.down, strict=True))
