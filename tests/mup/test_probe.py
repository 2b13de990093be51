"""What parameters do, tried on a tiny network of a model's class."""

from __future__ import annotations

import pytest
import torch
import transformers as hf
from every_family import config_of
from torch import nn

from widthwise.errors import LimitError
from widthwise.mup.probe import Probe


def probe(family: str) -> Probe:
    """Of a model without memory."""
    with torch.device("meta"):
        return Probe(hf.AutoModelForCausalLM.from_config(config_of(family)))


@pytest.mark.parametrize(
    ("family", "norm", "queries", "ends"),
    [
        ("llama", "model.norm", "q_proj", {"o_proj.weight", "down_proj.weight"}),
        ("qwen3", "model.norm", "q_norm", {"o_proj.weight", "down_proj.weight"}),
        (
            "gemma3_text",  # norms behind both branches
            "model.norm",
            "q_norm",
            {"post_attention_layernorm.weight", "post_feedforward_layernorm.weight"},
        ),
        (
            "glm4",
            "model.norm",
            "q_proj",
            {f"post_{n}_layernorm.weight" for n in ("self_attn", "mlp")},
        ),
        ("mixtral", "model.norm", "q_proj", {"o_proj.weight", "experts.down_proj"}),
        (
            "ernie4_5_moe",  # whose first layer has no experts
            "model.norm",
            "q_proj",
            {"o_proj.weight", "down_proj.weight", "experts.down_proj"},
        ),
        (
            "lfm2",
            "model.embedding_norm",
            "q_layernorm",
            {"out_proj.weight", "w2.weight"},
        ),
    ],
)
def test_of_real_families_it_is_known(family: str, norm: str, queries: str, ends: set[str]) -> None:
    one = probe(family)
    assert one.norm_before("lm_head") == norm
    attention = "model.layers.2.self_attn"
    assert one.query_factor(attention).endswith(f"self_attn.{queries}")
    found = {".".join(name.split(".")[-2:]) for name in one.branch_ends()}
    assert found == ends


def test_what_is_not_exact_is_refused_with_the_reason() -> None:
    with pytest.raises(LimitError, match="what lm_head is given is not the output of a norm"):
        probe("minicpm3").norm_before("lm_head")  # it is divided by a number
    with pytest.raises(LimitError, match="have no projection of their own"):
        probe("phi3").query_factor("model.layers.0.self_attn")  # fused
    with pytest.raises(LimitError, match="have no projection of their own"):
        probe("gpt_oss").query_factor("model.layers.0.self_attn")  # sinks are among the logits
    with pytest.raises(LimitError, match="end a branch of the residual stream is not known"):
        probe("minimax").branch_ends()
    with pytest.raises(LimitError, match="no model of transformers"):
        Probe(nn.Linear(2, 2)).branch_ends()


def test_it_leaves_the_tiny_network_as_it_was() -> None:
    one = probe("llama")
    before = {name: p.clone() for name, p in one.network.named_parameters()}
    one.branch_ends()
    one.query_factor("model.layers.0.self_attn")
    for name, parameter in one.network.named_parameters():
        assert parameter.equal(before[name])
