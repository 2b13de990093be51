"""Parameter groups: rates, decay and epsilon reach the parameters, also of groups that exist."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from mup_models import llama, wide
from torch import nn

from widthwise.errors import LimitError
from widthwise.mup import Parametrization, parametrize


def settings_by_name(model: nn.Module, groups: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The settings of each parameter's group."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: group for group in groups for p in group["params"]}


def small() -> tuple[nn.Module, Parametrization]:
    model = nn.Linear(16, 16)
    return model, parametrize(model, nn.Linear(8, 8))


def test_rates_decay_and_epsilon_reach_every_parameter_once() -> None:
    model = wide()
    one = parametrize(model, llama())
    groups = one.groups(model, lr=0.3, weight_decay=0.1, eps=1e-6)
    assert sum(len(g["params"]) for g in groups) == len(list(model.parameters()))
    found = settings_by_name(model, groups)
    down, gain = "model.layers.1.mlp.down_proj.weight", "model.norm.weight"
    rates = {name: found[name]["lr"] for name in ("lm_head.weight", gain, down)}
    assert rates == {"lm_head.weight": pytest.approx(0.15), gain: 0.3, down: pytest.approx(0.1)}
    for name, its in found.items():
        decays = "norm" not in name
        assert its["lr"] * its["weight_decay"] == pytest.approx(0.03 * decays), name
    assert found["model.embed_tokens.weight"]["eps"] == found[down]["eps"] == 0.5e-6
    assert found["lm_head.weight"]["eps"] == 1e-6
    assert found["model.layers.0.mlp.gate_proj.weight"]["eps"] == pytest.approx(1e-6 / 3)


def test_epsilon_goes_as_the_gradients_do() -> None:
    """Root mean square gradients of real networks fall by the factor of epsilon."""
    base = llama(initializer_range=0.3)
    model = wide(initializer_range=0.3)
    tokens = torch.randint(101, (16, 32), generator=torch.Generator().manual_seed(0))
    one = parametrize(model, base)
    one.init_(model, 0.3, torch.Generator().manual_seed(1))
    sizes = []
    for each in (base, model):
        nn.init.zeros_(each.lm_head.weight)  # its gradient is then that of the limit
        each(tokens, labels=tokens).loss.backward()
        sizes.append(float(each.lm_head.weight.grad.square().mean().sqrt()))
    factor = next(w.eps for w in one.weights if w.name == "lm_head.weight")
    # Two networks of 32 and 64 numbers a token: each is within a few percent of its mean.
    assert sizes[1] / sizes[0] == pytest.approx(factor, rel=0.1)


def test_gains_and_biases_decay_where_that_is_asked() -> None:
    model = wide()
    groups = parametrize(model, llama()).groups(
        model, lr=0.3, weight_decay=0.1, decays_vectors=True
    )
    assert {round(g["lr"] * g["weight_decay"], 12) for g in groups} == {0.03}


def test_groups_have_names_and_frozen_parameters_are_left_out() -> None:
    model = wide()
    model.lm_head.weight.requires_grad_(False)
    groups = parametrize(model, llama()).groups(model, lr=0.3, optimizer="sgd")
    assert [g["name"] for g in groups][:2] == [
        "input, lr x 2, no decay",
        "hidden, lr x 1, no decay",
    ]
    found = settings_by_name(model, groups)
    assert "lm_head.weight" not in found
    assert len(found) == len(list(model.parameters())) - 1
    assert not any("eps" in group for group in groups)
    torch.optim.SGD(groups)


def test_groups_that_exist_keep_their_settings() -> None:
    model = wide()
    one = parametrize(model, llama())
    embedding, head = model.model.embed_tokens.weight, model.lm_head.weight
    rest = [p for p in model.parameters() if p is not embedding and p is not head]
    mine = [
        {"params": [embedding], "lr": 0.5, "weight_decay": 0.0, "betas": (0.8, 0.9)},
        {"params": rest, "lr": 0.1, "weight_decay": 0.2, "name": "rest"},
        {"params": [("lm_head.weight", head)], "lr": 0.1},
    ]
    groups = one.split_groups(model, mine)
    assert len(mine) == 3  # as it was
    found = settings_by_name(model, groups)
    assert found["model.embed_tokens.weight"]["betas"] == (0.8, 0.9)
    assert found["model.embed_tokens.weight"]["lr"] == 0.5
    assert "betas" not in found["lm_head.weight"]
    assert found["lm_head.weight"]["lr"] == pytest.approx(0.05)
    down = found["model.layers.0.mlp.down_proj.weight"]
    assert (down["lr"], down["weight_decay"]) == pytest.approx((0.1 / 3, 0.6))
    assert found["model.norm.weight"]["weight_decay"] == 0.2  # the user's own decision
    assert down["name"] == "rest: hidden, lr x 0.3333"
    optimizer = torch.optim.AdamW(groups)
    assert optimizer.param_groups[0]["betas"] == (0.8, 0.9)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (
            {"optimizer": "shampoo"},
            "must be one of adamw, adam, lion, sgd; got 'shampoo'",
        ),
        ({"optimizer": "adam", "weight_decay": 0.1}, "must be 0 with adam"),
        ({"lr": 0.0}, "lr must be above 0; got 0"),
        ({"lr": float("nan")}, "lr must be above 0; got nan"),
        ({"eps": 0.0}, "eps must be above 0; got 0"),
    ],
)
def test_groups_that_cannot_be_had_are_refused(asked: dict[str, Any], said: str) -> None:
    model, one = small()
    with pytest.raises(LimitError, match=said):
        one.groups(model, **{"lr": 0.1, **asked})


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        ([{"params": ["weight"]}], "each group must have its lr; group 0 has none"),
        ([{"params": ["weight", "weight"], "lr": 1.0}], "weight is in two groups"),
        ([{"params": ["other"], "lr": 1.0}], "group 0 has a parameter of shape"),
    ],
)
def test_groups_that_do_not_fit_the_model_are_refused(
    groups: list[dict[str, Any]], said: str
) -> None:
    model, one = small()
    known = {**dict(model.named_parameters()), "other": nn.Parameter(torch.zeros(3))}
    real = [{**group, "params": [known[n] for n in group["params"]]} for group in groups]
    with pytest.raises(LimitError, match=said):
        one.split_groups(model, real)


@pytest.mark.parametrize("adjustment", ["original", "match_rms_adamw"])
def test_a_step_of_muon_has_the_same_size_for_its_shape_at_all_widths(adjustment: Any) -> None:
    """Its singular values over the root of outputs over inputs, by the optimizer itself."""
    sizes = []
    for width in (16, 64):
        model = llama(
            hidden_size=width, intermediate_size=3 * width, num_attention_heads=width // 8
        )
        base = llama(hidden_size=16, intermediate_size=48, num_attention_heads=2)
        delta = llama(hidden_size=32, intermediate_size=96, num_attention_heads=4)
        one = parametrize(model, base, delta)
        groups = one.muon_groups(model, lr=0.01, adjust_lr_fn=adjustment)
        found = settings_by_name(model, groups)
        before = {name: p.detach().clone() for name, p in model.named_parameters()}
        for name, parameter in model.named_parameters():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            parameter.grad = noise if name in found else None
        torch.optim.Muon(groups, weight_decay=0.0, momentum=0.0, nesterov=False, ns_steps=20).step()
        steps = {name: p - before[name] for name, p in model.named_parameters() if name in found}
        sizes.append(
            {
                name: float(
                    torch.linalg.matrix_norm(step.detach(), "fro")
                    / min(step.shape) ** 0.5
                    / (step.shape[0] / step.shape[1]) ** 0.5
                )
                for name, step in steps.items()
            }
        )
    assert set(sizes[0]) == set(sizes[1])
    assert {name.split(".")[-2] for name in sizes[0]} >= {"q_proj", "gate_proj", "down_proj"}
    for name in sizes[0]:  # Newton-Schulz leaves singular values between 0.7 and 1.2; a factor
        # that were none would show as 2, the root of the growth
        assert sizes[1][name] == pytest.approx(sizes[0][name], rel=0.25), name


def test_muon_and_adamw_share_all_parameters() -> None:
    model = wide()
    one = parametrize(model, llama())
    hidden = one.muon_groups(model, lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    rest = one.groups(model, lr=0.001, beside_muon=True)
    names = settings_by_name(model, hidden).keys(), settings_by_name(model, rest).keys()
    assert not names[0] & names[1]
    assert names[0] | names[1] == dict(model.named_parameters()).keys()
    found = settings_by_name(model, hidden)
    q = found["model.layers.0.self_attn.q_proj.weight"]
    assert (q["lr"], q["weight_decay"]) == pytest.approx((0.02 / 2**0.5, 0.1 * 2**0.5))
    assert {group["adjust_lr_fn"] for group in hidden} == {"match_rms_adamw"}
    larger = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    grown = wide(num_hidden_layers=6, **larger)
    both = parametrize(grown, llama()).muon_groups(grown, lr=1.0, adjust_lr_fn="match_rms_adamw")
    rates = {n.split(".")[-2]: g["lr"] for n, g in settings_by_name(grown, both).items()}
    assert rates["k_proj"] == pytest.approx(0.5**0.5)
    assert rates["q_proj"] == pytest.approx(0.5)  # and that of the logits within
    assert rates["o_proj"] == pytest.approx(0.5 * 0.5**0.5)  # and that of twice the layers
    unclamped = one.muon_groups(model, lr=0.02, adjust_lr_fn="spectral_unclamped")
    assert {group["lr"] for group in unclamped} == {0.02}
    with pytest.raises(LimitError, match="adjust_lr_fn must be one of original, match_rms_adamw"):
        one.muon_groups(model, lr=0.02, adjust_lr_fn="other")  # type: ignore[arg-type]
