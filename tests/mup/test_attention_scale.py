"""Attention whose heads grow: its scale is found wherever a family keeps it, or it is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn
from torch.nn import functional as F

from widthwise.errors import LimitError
from widthwise.mup import Parametrization, parametrize
from widthwise.mup.attention_scale import head_size

BASE, WIDE = 32, 128  # of 4 heads: of 8 numbers and of 32
TO_BE = 8**-0.5 * 8 / 32  # scale of the wide network: that of the base, and 1/d from there
COMMON: dict[str, Any] = {"vocab_size": 64}


def of(config: type[Any], width: str = "hidden_size", **settings: Any) -> Callable[[int], Any]:
    def make(size: int) -> Any:
        torch.manual_seed(0)
        grown = {k: v * size if isinstance(v, float) else v for k, v in settings.items()}
        grown = {k: int(v) if isinstance(v, float) else v for k, v in grown.items()}
        made = config(**{width: size, **COMMON, **grown})
        return hf.AutoModelForCausalLM.from_config(made, attn_implementation="eager").eval()

    return make


FAMILIES: dict[str, tuple[Callable[[int], Any], Callable[[nn.Module], list[Any]]]] = {
    # how a network is made; views of what makes its queries: weights (and biases) by module
    "llama": (
        of(hf.LlamaConfig, num_hidden_layers=2, num_attention_heads=4, intermediate_size=2.0),
        lambda m: [m.q_proj.weight],
    ),
    "gptj": (
        of(hf.GPTJConfig, "n_embd", n_layer=2, n_head=4, rotary_dim=4, n_positions=64),
        lambda m: [m.q_proj.weight],
    ),
    "gpt_neox": (
        of(hf.GPTNeoXConfig, num_hidden_layers=2, num_attention_heads=4, intermediate_size=2.0),
        lambda m: [
            m.query_key_value.weight.view(4, 3, 32, -1)[:, 0],
            m.query_key_value.bias.view(4, 3, 32)[:, 0],
        ],
    ),
    "gpt2": (
        of(hf.GPT2Config, "n_embd", n_layer=2, n_head=4, n_positions=64),
        lambda m: [m.c_attn.weight[:, :WIDE], m.c_attn.bias[:WIDE]],
    ),
    "bloom": (
        of(hf.BloomConfig, n_layer=2, n_head=4),
        lambda m: [
            m.query_key_value.weight.view(4, 3, 32, -1)[:, 0],
            m.query_key_value.bias.view(4, 3, 32)[:, 0],
        ],
    ),
    "opt": (
        of(hf.OPTConfig, num_hidden_layers=2, num_attention_heads=4, ffn_dim=2.0,
           word_embed_proj_dim=1.0, max_position_embeddings=64),
        lambda m: [m.q_proj.weight, m.q_proj.bias],
    ),
    "mpt": (
        of(hf.MptConfig, "d_model", n_layers=2, n_heads=4, max_seq_len=64),
        lambda m: [m.Wqkv.weight[:WIDE]],
    ),
    "gpt_bigcode": (
        of(hf.GPTBigCodeConfig, "n_embd", n_layer=2, n_head=4, n_positions=64, multi_query=False),
        lambda m: [
            m.c_attn.weight.view(4, 3, 32, -1)[:, 0],
            m.c_attn.bias.view(4, 3, 32)[:, 0],
        ],
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_of_attention_are_scaled_by_1_over_d(family: str) -> None:
    """As if the queries, whose scale is untouched, had been multiplied by what differs."""
    make, queries = FAMILIES[family]
    ids = torch.arange(24)[None]
    scaled, by_hand = make(WIDE), make(WIDE)
    with torch.no_grad():
        for parameter in by_hand.parameters():
            parameter.normal_(std=0.3)
        scaled.load_state_dict(by_hand.state_dict())
        before = scaled(ids).logits
        one = parametrize(scaled, make(BASE))
        assert all(value == pytest.approx(TO_BE) for value in one.attention.values())
        one = replace(one, multipliers={})  # of the head, which is another matter
        one.apply_(scaled)
        one.apply_(scaled)  # sets, and multiplies nothing twice
        for name, factor in absorbed(one).items():
            scaled.get_parameter(name).mul_(factor)
        changed = {path.rpartition(".")[0] for path in one.attention}
        changed |= {name.rsplit(".", 3)[0] for name in absorbed(one)}
        assert len(changed) == 2  # layers, each in one of two ways
        assert family in ("llama", "gptj", "opt") or one.attention
        for module in filter(head_size, by_hand.modules()):
            for view in queries(module):
                view *= TO_BE / 32**-0.5
        expected = by_hand(ids).logits
        # Logits up to some tens, in float32, through two layers.
        torch.testing.assert_close(scaled(ids).logits, expected, rtol=1e-3, atol=1e-3)
    assert (before - expected).abs().max() > 0.05


def absorbed(one: Parametrization) -> dict[str, float]:
    """What is in queries of what attention's logits are multiplied by."""
    usual = {"hidden": -0.5, "output": -1.0}  # power of the fan-in
    factors = {w.name: w.std / w.fan_in ** usual.get(w.role, 0.0) for w in one.weights}
    rates = {w.name: w.adam * (w.fan_in if w.role in usual else 1.0) for w in one.weights}
    assert rates == pytest.approx(factors)  # Adam's rates have them too
    return {n: f for n, f in factors.items() if f != pytest.approx(1) and ".q_proj." in n}


class Own(nn.Module):
    """Attention as people write it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.q, self.k = nn.Linear(width, width), nn.Linear(width, width)
        self.o = nn.Linear(width, 5)
        self.head_dim = width // 4


class Torchs(Own):
    """Scaled within torch."""

    def forward(self, x: torch.Tensor) -> Any:
        return self.o(F.scaled_dot_product_attention(self.q(x), self.k(x), x))


class Inline(Own):
    """Scaled where logits are made."""

    def forward(self, x: torch.Tensor) -> Any:
        return self.o(torch.softmax(self.q(x) @ self.k(x).mT / self.head_dim**0.5, -1) @ x)


class Divided(Own):
    """Scaled by an attribute that logits are divided by."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.scale = math.sqrt(self.head_dim)

    def forward(self, x: torch.Tensor) -> Any:
        return self.o(torch.softmax(self.q(x) @ self.k(x).mT / self.scale, -1) @ x)


class Counted(nn.Module):
    """Knows the number of its heads alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.num_heads = 4
        self.qkv, self.o = nn.Linear(width, 3 * width), nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> Any:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return self.o(F.scaled_dot_product_attention(q, k, v).flatten(-2))


class Whole(nn.Module):
    """torch's module, which scales out of reach."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(width, 4)
        self.o = nn.Linear(width, 5)


class Around(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner


@pytest.mark.parametrize("kind", [Torchs, Inline, Counted, Whole])
def test_attention_whose_scale_is_not_found_is_named(kind: Callable[[int], nn.Module]) -> None:
    one = parametrize(Around(kind(WIDE)), Around(kind(BASE)))
    path = "inner.inner" if kind is Whole else "inner"
    assert one.unscaled == {path: 0.25}
    assert not one.attention
    said = f"attention scale of {path} was not found: it must be that of the base x 0.25 (1/d)"
    assert said in str(one)
    assert Parametrization.from_json(one.to_json()) == one
    model = Around(kind(WIDE))
    with pytest.raises(LimitError, match=rf"where {path} keeps its scale was not found"):
        one.apply_(model)
    replace(one, unscaled={}).apply_(model)  # of one that is scaled by hand


def test_scale_that_divides_is_found() -> None:
    model = Divided(WIDE)
    one = parametrize(model, Divided(BASE))
    assert one.attention == {"": pytest.approx(TO_BE)}
    one.apply_(model)
    assert model.scale == pytest.approx(1 / TO_BE)


@pytest.mark.parametrize("kind", [Torchs, Inline, Counted])
def test_heads_that_do_not_grow_need_no_scale(kind: Callable[[int], nn.Module]) -> None:
    model, base = kind(WIDE), kind(BASE)
    for one, heads in ((model, 16), (base, 4)):
        one.head_dim, one.num_heads = 8, heads  # type: ignore[assignment]
    assert parametrize(model, base).unscaled == {}


def test_families_that_scale_within_torch_are_named() -> None:
    make = of(hf.FalconConfig, num_hidden_layers=2, num_attention_heads=4)
    one = parametrize(make(WIDE), make(BASE))
    assert set(one.unscaled) == {f"transformer.h.{i}.self_attention" for i in range(2)}
