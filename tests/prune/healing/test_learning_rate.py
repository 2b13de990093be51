"""Learning-rate factors in healing: the rates stated reach the weights, and none by default."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from every_family import tiny_model
from families import VOCAB, WIDTH, tiny
from family_trials import save_pair
from healing_runs import QUICK

from widthwise import apply, make_plan, prune_checkpoint
from widthwise.cli import main
from widthwise.cut.checkpoint import Checkpoint
from widthwise.errors import LimitError, PlanError, RunError
from widthwise.prune.healing import HealSettings, distil, heal, rate_factors, width_change
from widthwise.prune.healing.learning_rate import factors_of
from widthwise.prune.healing.master_weights import BETAS, DECAY, MasterWeights
from widthwise.prune.healing.training import Trainer

BLOCK, CUT = 16, 20


def rows() -> torch.Tensor:
    return torch.randint(3, VOCAB, (12, BLOCK), generator=torch.Generator().manual_seed(5))


def pair(family: str = "llama") -> tuple[Any, Any]:
    parent = tiny(family, initializer_range=0.15)
    return apply(parent, make_plan(parent, width=CUT, align=1, criterion="ppm")), parent


def settings(**changes: Any) -> HealSettings:
    chosen = {"tokens": 3 * 4 * BLOCK, "batch_tokens": 4 * BLOCK, "learning_rate": 3e-3}
    return HealSettings(**{**chosen, **changes})


def steps(model: torch.nn.Module, take: Any, number: int = 3) -> list[torch.Tensor]:
    """Weights after steps on gradients that are drawn; small, so that nothing is clipped."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(number):
        for parameter in model.parameters():
            parameter.grad = 1e-4 * torch.randn(parameter.shape, generator=generator)
        take()
    return [parameter.detach().clone() for parameter in model.parameters()]


def stepped_by_torch(model: torch.nn.Module, groups: list[dict[str, Any]]) -> list[torch.Tensor]:
    return steps(model, torch.optim.AdamW(groups, betas=BETAS, fused=True).step)


def test_each_weight_gets_the_rate_that_after_prune_states(tmp_path: Path) -> None:
    """Layer by layer, of a child on disk: the table, the factors and the groups say the same."""
    parent = tiny("llama")
    parent.save_pretrained(tmp_path / "dense")
    plan = make_plan(tmp_path / "dense", width=CUT, align=1, criterion="ppm")
    child = prune_checkpoint(tmp_path / "dense", tmp_path / "child", plan)
    command = ["mup", "after-prune", str(child), "--dense", str(tmp_path / "dense"), "--json"]
    stated = json.loads(CliRunner().invoke(main, command).stdout)["weights"]
    with Checkpoint(child) as own, Checkpoint(tmp_path / "dense") as dense:
        change = width_change(own, dense)
    assert {one.name: one.adam for one in change.weights} == {x["name"]: x["adam"] for x in stated}

    model = apply(parent, plan)
    trainer = Trainer(
        model, parent, rows(), settings(mup_factors=True), factors=rate_factors(model, parent)
    )
    step = trainer.step()
    assert step is not None
    rates = {
        id(weight): (group["lr"], group["weight_decay"])
        for group in trainer.masters._adam.param_groups
        for weight in group["params"]
    }
    for one in stated:
        weight = model.get_parameter(one["name"])
        decay = DECAY / one["adam"] if weight.ndim > 1 else 0
        assert rates[id(weight)] == pytest.approx((step.learning_rate * one["adam"], decay))
    assert sum(one["adam"] == pytest.approx(WIDTH / CUT) for one in stated) == 3


def test_steps_with_factors_are_torchs_own_with_rates_of_each_weight() -> None:
    ours, other = pair()[0], pair()[0]
    factors = rate_factors(*pair())
    masters = MasterWeights(ours, None, factors)
    found = steps(ours, lambda: masters.step(0.01))
    by = {name: factors.get(name, 1.0) for name, _ in other.named_parameters()}
    groups = [
        {"params": [p], "lr": 0.01 * by[n], "weight_decay": DECAY / by[n] if p.ndim > 1 else 0}
        for n, p in other.named_parameters()
    ]
    for one, two in zip(found, stepped_by_torch(other, groups), strict=True):
        assert torch.equal(one, two)


def test_without_factors_steps_are_those_of_one_rate_for_all() -> None:
    """Bit for bit: matrices that decay, and vectors that do not, as before there were any."""
    ours, other = pair()[0], pair()[0]
    masters = MasterWeights(ours)
    found = steps(ours, lambda: masters.step(0.01))
    weights = list(other.parameters())
    groups = [
        {"params": [p for p in weights if p.ndim > 1], "lr": 0.01, "weight_decay": DECAY},
        {"params": [p for p in weights if p.ndim < 2], "lr": 0.01, "weight_decay": 0.0},
    ]
    for one, two in zip(found, stepped_by_torch(other, groups), strict=True):
        assert torch.equal(one, two)


@pytest.mark.parametrize("family", ["llama", "gemma2", "phi3"])
def test_factors_change_what_is_trained_and_the_default_has_none(family: str) -> None:
    weights = []
    for asked in ({}, {"mup_factors": False}, {"mup_factors": True}):
        child, parent = pair(family)
        distil(child, parent, rows(), settings(**asked))
        weights.append(dict(child.named_parameters()))
    down = "model.layers.1.mlp.down_proj.weight"
    assert torch.equal(weights[0][down], weights[1][down])
    assert not torch.equal(weights[0][down], weights[2][down])


def test_what_has_no_factors_is_refused() -> None:
    with pytest.raises(RunError, match="mup_factors of a healing cannot be combined with lora"):
        HealSettings(mup_factors=True, lora=2)
    child, parent = pair()
    with pytest.raises(LimitError, match="base must differ in width"):
        distil(parent, parent, rows(), settings(mup_factors=True))
    with pytest.raises(PlanError, match="in the width of GLU blocks alone"):
        rate_factors(child, tiny("llama", hidden_size=64))


# Experts stored one by one, and as one tensor with the inputs first.
@pytest.mark.parametrize("family", ["qwen2_moe", "gpt_oss"])
def test_an_experts_rate_follows_its_own_width(family: str, tmp_path: Path) -> None:
    """down of a kind that was cut from width I to k has I / k times the rate; all others 1."""
    model = tiny_model(family)
    model.save_pretrained(tmp_path / "dense")
    plan = make_plan(tmp_path / "dense", remove="40%", align=8, criterion="ppm")
    child = prune_checkpoint(tmp_path / "dense", tmp_path / "child", plan)
    with Checkpoint(tmp_path / "dense") as dense, Checkpoint(child) as cut:
        stated = factors_of(width_change(cut, dense))
        architecture = dense.architecture
    expected = {
        group.down: architecture.kinds[group.kind].width / plan.kinds[group.kind].kept
        for group in architecture.groups
    }
    assert stated == pytest.approx(expected)
    in_memory = rate_factors(apply(model, plan), model)
    assert set(in_memory.values()) == set(stated.values())


def test_a_healing_of_a_mixture_states_its_factors(tmp_path: Path) -> None:
    parent, child, text = save_pair("mixtral", tmp_path)
    settings = HealSettings(**{**QUICK, "mup_factors": True})
    found = heal(child, parent, out=tmp_path / "out", text=text, settings=settings, dtype="float32")
    assert set(found.factors.values()) == {56 / 32}
    assert all(".experts." in name for name in found.factors)
