"""What a parameter does, by its module, its source, its name or the user's word."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from every_family import config_of
from torch import nn

from widthwise.errors import LimitError
from widthwise.mup import Parametrization, initial_stds, parametrize

SIZES = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
TWICE = {**SIZES, "hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 4}


def roles(one: Parametrization) -> dict[str, tuple[str, float, float]]:
    """Role, fan-in and fan-out of each parameter, by the last two and three words of its name."""
    return {
        ".".join(w.name.split(".")[-words:]): (w.role, w.fan_in, w.fan_out)
        for w in one.weights
        for words in (2, 3)
    }


@pytest.mark.parametrize(
    ("family", "up", "down", "router"),
    [
        ("mixtral", "experts.gate_up_proj", "experts.down_proj", "gate.weight"),
        ("gpt_oss", "experts.gate_up_proj", "experts.down_proj", "router.weight"),  # (E, in, out)
        ("llama4_text", "experts.gate_up_proj", "experts.down_proj", "router.weight"),
        ("jetmoe", "mlp.input_linear.weight", "mlp.output_linear.weight", "layer.weight"),
        ("nemotron_h", "experts.up_proj", "experts.down_proj", "gate.weight"),
    ],
)
def test_experts_and_routers_are_told_where_only_the_hidden_size_grows(
    family: str, up: str, down: str, router: str
) -> None:
    found = roles(parametrize(config_of(family, **TWICE), config_of(family, **SIZES)))
    assert found[up] == found[router] == ("output", 2, 1)
    assert found[down] == ("input", 1, 2)


def test_biases_of_experts_are_vectors() -> None:
    found = roles(parametrize(config_of("gpt_oss", **TWICE), config_of("gpt_oss", **SIZES)))
    assert found["experts.down_proj_bias"] == ("vector", 1, 2)
    assert found["experts.gate_up_proj_bias"] == ("fixed", 1, 1)


def test_tokens_and_positions_of_vision_transformers_are_tables() -> None:
    def vit(width: int) -> nn.Module:
        sizes = {"hidden_size": width, "intermediate_size": 2 * width, "num_attention_heads": 2}
        with torch.device("meta"):
            return hf.ViTModel(hf.ViTConfig(**sizes, num_hidden_layers=1, image_size=32))

    found = roles(parametrize(vit(64), vit(16)))
    assert found["embeddings.cls_token"] == found["embeddings.position_embeddings"]
    assert found["embeddings.cls_token"] == ("input", 1, 4)
    assert found["projection.weight"] == ("input", 1, 4)


class Bare(nn.Module):
    """Parameters that belong to no layer of torch."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(5, width))
        self.prompt = nn.Parameter(torch.zeros(3, width))
        self.read = nn.Parameter(torch.zeros(7, width))
        self.project = nn.Parameter(torch.zeros(width, 9))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x + self.positional_embedding
        return nn.functional.linear(y.relu(), self.read), y @ self.project


def test_bare_parameters_are_told_by_what_the_source_does_with_them() -> None:
    found = {w.name: (w.role, w.adam) for w in parametrize(Bare(32), Bare(8)).weights}
    assert found["positional_embedding"] == found["prompt"] == ("input", 1)
    assert found["read"] == found["project"] == ("output", 0.25)


class Unsaid(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Module()
        self.inner.things = nn.Parameter(torch.zeros(5, width))


def test_what_nothing_says_is_asked_for_and_taken() -> None:
    with pytest.raises(LimitError, match=r"roles=\{'\*.things': ...\}, `input` for a table"):
        parametrize(Unsaid(32), Unsaid(8))
    for role, adam in (("input", 1), ("vector", 1), ("output", 0.25)):
        (one,) = parametrize(Unsaid(32), Unsaid(8), roles={"*.things": role}).weights  # type: ignore[dict-item]
        assert (one.role, one.adam) == (role, adam)


def test_a_role_goes_before_what_the_module_says() -> None:
    (one, _) = parametrize(nn.Linear(8, 32), nn.Linear(8, 8), roles={"weight": "output"}).weights
    assert (one.role, one.fan_in, one.std) == ("output", 4, 0.25)
    both = nn.Linear(16, 32, bias=False), nn.Linear(8, 8, bias=False)
    (one,) = parametrize(*both, roles={"*": "output", "w*": "hidden"}).weights  # the last that fits
    assert (one.role, one.fan_in, one.fan_out) == ("hidden", 2, 4)


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        ({"weight": "head"}, "one of input, hidden, output, vector; got 'head' of weight"),
        ({"wieght": "input"}, "wieght must fit the name of a parameter; it fits none"),
        (
            {"bias": "hidden"},
            r"a hidden weight grows along two dimensions, and bias of shape \(16,",
        ),
    ],
)
def test_roles_that_cannot_be_are_refused(roles: Any, said: str) -> None:
    with pytest.raises(LimitError, match=said):
        parametrize(nn.Linear(16, 16), nn.Linear(8, 8), roles=roles)


@pytest.mark.parametrize("family", ["jamba", "bamba"])
def test_state_space_layers_are_refused_with_the_reason_unless_their_role_is_said(
    family: str,
) -> None:
    heads = ({}, {}) if family == "jamba" else ({"mamba_n_heads": 8}, {"mamba_n_heads": 16})
    base, wide = (config_of(family, **s, **n) for s, n in zip((SIZES, TWICE), heads, strict=True))
    with pytest.raises(LimitError, match="sets how a state decays, and muP is known to fail"):
        parametrize(wide, base)
    names = ["A_log", *["dt_bias"] * (family == "bamba")]
    said: Any = {f"*.{name}": "vector" for name in names}
    assert roles(parametrize(wide, base, roles=said))["mamba.A_log"][0] == "vector"


def test_rows_that_the_model_multiplies_start_and_move_less() -> None:
    """Gemma multiplies its embeddings by the root of the hidden size."""
    changes = {"tie_word_embeddings": False, "vocab_size": 4001}
    base, wide = (
        hf.AutoModelForCausalLM.from_config(config_of("gemma3_text", **sizes, **changes))
        for sizes in (SIZES, {**TWICE, "hidden_size": 128})
    )
    one = parametrize(wide, base)
    table = next(w for w in one.weights if w.role == "input")
    assert (table.std, table.adam, table.sgd, table.eps) == pytest.approx((0.5, 0.5, 1, 0.5))
    one.init_(wide, initial_stds(base), torch.Generator().manual_seed(0))
    tokens = torch.arange(4001)
    sizes = [float(m.get_input_embeddings()(tokens).detach().std()) for m in (base, wide)]
    assert sizes[1] == pytest.approx(sizes[0], rel=0.02)  # of 128,032 numbers: 0.2 % is usual


def test_a_head_shared_with_such_rows_makes_up_for_it() -> None:
    one = parametrize(config_of("gemma3_text", **TWICE), config_of("gemma3_text", **SIZES))
    assert one.gains == {"model.norm.weight": pytest.approx(0.5**0.5)}
    assert not one.multipliers
