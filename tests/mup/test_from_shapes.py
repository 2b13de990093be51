"""Which multipliers a parametrization is left with, from shapes of two networks."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from families import tokens
from mup_models import llama, wide
from torch import nn

from widthwise.errors import LimitError
from widthwise.mup import parametrize


def of_own_class(**changes: Any) -> Any:
    """A Llama that is no model of transformers by its class: nothing can be tried on a tiny one."""
    model = wide(tie_word_embeddings=True, **changes)
    outer = nn.Module()
    outer.inner, outer.forward = model, model.forward
    return outer


def test_a_head_whose_norm_is_not_known_is_multiplied_once() -> None:
    model, base = of_own_class(), nn.Module()
    base.inner = llama(tie_word_embeddings=True)
    one = parametrize(model, base)
    assert one.multipliers == {"inner.lm_head": 0.5}
    assert "inner.lm_head needs apply_, since it is no model of transformers" in str(one)
    assert "inner.lm_head.weight" not in {w.name for w in one.weights}
    before = model(tokens()).logits
    one.apply_(model)
    one.apply_(model)  # sets, and multiplies nothing twice
    torch.testing.assert_close(model(tokens()).logits, before * 0.5)
    again = pickle.loads(pickle.dumps(model.inner))
    torch.testing.assert_close(again(tokens()).logits, model(tokens()).logits)
    assert parametrize(wide(), llama()).multipliers == {}


def test_nothing_is_left_where_queries_and_norms_take_it() -> None:
    base = llama(tie_word_embeddings=True)
    same = wide(tie_word_embeddings=True)
    deep = wide(tie_word_embeddings=True, num_attention_heads=4, num_key_value_heads=2, head_dim=16)
    assert parametrize(same, base).absorbed == {"model.norm.weight": 0.5}
    one = parametrize(deep, base)
    queries = {f"model.layers.{i}.self_attn.q_proj.weight": 0.5**0.5 for i in range(3)}
    assert one.absorbed == pytest.approx({"model.norm.weight": 0.5, **queries})
    assert [*one.multipliers, *one.attention, *one.unscaled, *one.reasons] == []
    assert parametrize(wide(), llama()).absorbed == {}


def test_fused_queries_have_their_scale_set() -> None:
    import transformers as hf

    def phi3(width: int) -> Any:
        return hf.AutoModelForCausalLM.from_config(
            hf.Phi3Config(
                hidden_size=width, intermediate_size=2 * width, num_hidden_layers=1,
                num_attention_heads=2, num_key_value_heads=2, vocab_size=32, pad_token_id=0,
            )
        )  # fmt: skip

    model = phi3(64)
    one = parametrize(model, phi3(16))
    assert one.attention == {"model.layers.0.self_attn": pytest.approx(8**0.5 / 32)}
    assert "needs apply_, since its queries have no projection of their own" in str(one)
    one.apply_(model)
    assert model.model.layers[0].self_attn.scaling == pytest.approx(8**0.5 / 32)


def test_depth_of_other_networks_than_transformers_is_refused() -> None:
    def net(layers: int) -> nn.Module:
        return nn.ModuleDict({"a": nn.ModuleList(nn.Linear(4, 4) for _ in range(layers))})

    with pytest.raises(LimitError, match="no model of transformers"):
        parametrize(net(4), net(2))
    with pytest.raises(LimitError, match="is in the model and not in base"):
        parametrize({"a.0.w": (4, 4), "a.1.w": (4, 4)}, {"a.0.w": (4, 4)})
    with pytest.raises(LimitError, match="kind must be one of mup, sp, sp-embedding; got 'ntp'"):
        parametrize(net(1), net(1), kind="ntp")  # type: ignore[arg-type]


def test_tables_alone_learn_faster_in_the_third_kind() -> None:
    one = parametrize(wide(), llama(), kind="sp-embedding")
    rates = {w.name: w.adam for w in one.weights if w.adam != 1}
    assert rates == {"model.embed_tokens.weight": 2}
    assert torch.tensor([w.std for w in one.weights]).equal(
        torch.tensor([w.std for w in parametrize(wide(), llama(), kind="sp").weights])
    )
