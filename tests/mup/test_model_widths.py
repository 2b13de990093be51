"""Configs at other widths: in proportion, as stated, and small ones of any family."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers as hf
from every_family import config_of

from widthwise.errors import LimitError
from widthwise.mup import (
    NetworkFamily,
    config_at,
    different_settings,
    head_notes,
    small_start,
)


def llama(**changes: Any) -> Any:
    sizes = {"hidden_size": 96, "intermediate_size": 256, "num_attention_heads": 12}
    return hf.LlamaConfig(**{**sizes, "num_key_value_heads": 4, **changes})


def test_everything_that_is_in_proportion_follows() -> None:
    wide, narrow = llama(), config_at(llama(), 24)
    assert different_settings(narrow, wide) == {
        "hidden_size": (24, 96),
        "intermediate_size": (64, 256),
        "num_attention_heads": (3, 12),
        "num_key_value_heads": (1, 4),
    }
    mixture = config_at(hf.Qwen3MoeConfig(), hf.Qwen3MoeConfig().hidden_size // 2)
    assert mixture.moe_intermediate_size * 2 == hf.Qwen3MoeConfig().moe_intermediate_size
    assert config_at(hf.GPT2Config(), 64).n_head * 12 == hf.GPT2Config().n_head


def test_heads_that_cannot_share_keys_and_values_are_refused() -> None:
    config = hf.LlamaConfig(hidden_size=512, num_attention_heads=8, num_key_value_heads=4)
    said = "num_attention_heads, 2, must be a multiple of num_key_value_heads, 4: state both"
    with pytest.raises(LimitError, match=said):
        config_at(config, 128, {"num_key_value_heads": 4})
    assert config_at(config, 128).num_key_value_heads == 1


def test_what_follows_from_heads_is_said() -> None:
    config = hf.LlamaConfig(hidden_size=512, num_attention_heads=8, num_key_value_heads=4)
    assert head_notes(config_at(config, 256), config) == []
    (grown,) = head_notes(config_at(config, 64), config)
    assert grown.startswith("Heads have 8 numbers at the base and 64 here")
    kept = config_at(config, 256, {"num_key_value_heads": 4})
    (shared,) = head_notes(kept, config)
    assert shared.startswith("num_key_value_heads stays at 4, so that projections of keys")


def test_another_depth_has_lists_of_its_length() -> None:
    config = hf.Qwen3NextConfig()
    narrow = config_at(config, config.hidden_size, {"num_hidden_layers": 8})
    assert narrow.layer_types == config.layer_types[:8]


def test_heads_get_smaller_where_their_number_cannot() -> None:
    narrow = config_at(llama(head_dim=16), 48, {"num_key_value_heads": 3})
    assert (narrow.num_attention_heads, narrow.num_key_value_heads) == (6, 3)  # as stated
    odd = config_at(llama(head_dim=16, num_key_value_heads=3), 48)
    assert (odd.num_attention_heads, odd.num_key_value_heads, odd.head_dim) == (12, 3, 8)


@pytest.mark.parametrize(
    ("size", "stated", "said"),
    [
        (36, {"hidden": 3}, "LlamaConfig has no setting hidden"),
        (9, {}, "head_dim would be 0.75 in proportion: state it, head_dim=N"),
        (10, {}, "intermediate_size would be 26.6667 in proportion: state it"),
    ],
)
def test_sizes_that_cannot_be_are_refused(size: int, stated: dict[str, int], said: str) -> None:
    with pytest.raises(LimitError, match=said):
        config_at(llama(num_key_value_heads=3), size, stated)


FAMILIES = ["llama", "gemma3_text", "gpt2", "gpt_neox", "phi3", "mixtral", "gpt_oss", "deepseek_v3"]


@pytest.mark.parametrize("family", FAMILIES)
def test_small_networks_of_default_configs_learn(family: str) -> None:
    """Built, initialised, trained for a step, at the parametrization of any of them."""
    kind = type(config_of(family)) if family not in ("gpt2", "gpt_neox") else None
    config = kind() if kind else {"gpt2": hf.GPT2Config, "gpt_neox": hf.GPTNeoXConfig}[family]()
    setup = small_start(NetworkFamily(config=config, layers=1), 32, 0, lr=0.01)
    before = setup.loss()
    before.backward()  # type: ignore[no-untyped-call]
    setup.optimizer.step()
    assert torch.isfinite(before)
    assert setup.loss() < before
    assert sum(p.numel() for p in setup.model.parameters()) < 300_000


def test_configs_that_make_no_network_are_one_sentence() -> None:
    with pytest.raises(LimitError, match="BltConfig states no hidden_size"):
        config_at(hf.BltConfig(), 64)
    broken = NetworkFamily(config=hf.LlamaConfig(), stated={"num_key_value_heads": 3})
    with pytest.raises(LimitError, match="a small LlamaForCausalLM does not run"):
        small_start(broken, 32, 0, lr=0.01).loss()


def test_layers_of_each_kind_are_there_and_the_width_is_checked() -> None:
    config = hf.Qwen3NextConfig()
    family = NetworkFamily(config=config, layers=1)
    assert family.at(32).layer_types == config.layer_types[:4]
    with pytest.raises(LimitError, match="multiple of 16; got 24"):
        family.at(24)
