"""How many experts one token passes, as configs state it."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from every_family import tiny_model

from widthwise.arch import Architecture, experts_per_token
from widthwise.arch.active import EXPERTS_PER_TOKEN, active_shares
from widthwise.cut import ModelWeights
from widthwise.errors import UnsupportedModelError


def in_memory(family: str) -> Architecture:
    return ModelWeights(tiny_model(family)).architecture


def test_a_token_passes_as_many_experts_as_the_config_says() -> None:
    mixture = in_memory("qwen3_moe")
    assert experts_per_token(mixture) == 2
    assert active_shares(mixture) == dict.fromkeys(range(mixture.layers), Fraction(2, 4))
    dense = in_memory("llama")
    assert experts_per_token(dense) is None
    assert active_shares(dense) == {}


def test_a_config_that_does_not_say_it_is_refused() -> None:
    mixture = in_memory("qwen3_moe")
    silent = {k: v for k, v in mixture.config.items() if k not in EXPERTS_PER_TOKEN}
    with pytest.raises(UnsupportedModelError, match="to how many experts a token is sent"):
        experts_per_token(replace(mixture, config=silent))
