"""A first look refuses what the whole reading would, in the same words, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from widthwise.arch import Target, refuse_beyond_stated
from widthwise.errors import TargetError

LLAMA = {"model_type": "llama", "hidden_size": 32, "intermediate_size": 53}
BEYOND = [("to", "99x"), ("to", "0.01x"), ("remove", "99%"), ("remove", "0%"), ("width", "53")]


@pytest.mark.parametrize(("kind", "text"), BEYOND)
def test_what_stated_sizes_rule_out_is_refused(kind: Any, text: str) -> None:
    for config in (LLAMA, {"model_type": "llava", "text_config": LLAMA}):
        with pytest.raises(TargetError, match=r"width must be in \[1, 52\], as the model has 53"):
            refuse_beyond_stated(config, Target(kind, text))


def test_a_width_below_the_multiple_that_is_asked_for_is_refused() -> None:
    with pytest.raises(TargetError, match="below the alignment 64"):
        refuse_beyond_stated(LLAMA, Target("width", "40"), align=64)


@pytest.mark.parametrize(("kind", "text"), [("to", "1.2x"), ("remove", "40%"), ("width", "52")])
def test_a_width_within_them_passes(kind: Any, text: str) -> None:
    refuse_beyond_stated(LLAMA, Target(kind, text))


@pytest.mark.parametrize(
    "config",
    [
        {"model_type": "llama", "hidden_size": 32},  # the class has a default
        {**LLAMA, "intermediate_size": [53, 64]},  # a width for each layer
        {**LLAMA, "per_layer_config": {"0": {"intermediate_size": 4000}}},
        {**LLAMA, "moe_intermediate_size": 4000},  # experts have another one
        {**LLAMA, "model_type": "recurrent_gemma"},  # states twice the width
        {**LLAMA, "model_type": "gemma4_text"},  # some layers may be twice as wide
        {**LLAMA, "model_type": "lfm2"},  # the class computes the width
        {**LLAMA, "model_type": "t5"},  # states it elsewhere
    ],
)
def test_of_other_configs_the_whole_reading_has_the_word(config: dict[str, Any]) -> None:
    refuse_beyond_stated(config, Target("to", "99x"))


MIXTURE = {**LLAMA, "model_type": "qwen3_moe", "moe_intermediate_size": 24}


@pytest.mark.parametrize(("kind", "text"), BEYOND)
def test_a_width_that_no_expert_can_have_is_refused_in_the_words_of_experts(
    kind: Any, text: str
) -> None:
    with pytest.raises(TargetError, match=r"width must be in \[1, 23\], as the model has 24"):
        refuse_beyond_stated(MIXTURE, Target(kind, text))


@pytest.mark.parametrize(("kind", "text"), [("width", "23"), ("width", "30"), ("remove", "40%")])
def test_a_width_that_some_block_of_a_mixture_may_have_passes(kind: Any, text: str) -> None:
    refuse_beyond_stated(MIXTURE, Target(kind, text), align=64)  # who knows what is rounded
    latent = {**MIXTURE, "moe_latent_size": 16}
    refuse_beyond_stated(latent, Target("width", "900"))


def test_budgets_and_names_of_kinds_need_the_whole_reading() -> None:
    refuse_beyond_stated(LLAMA, Target("params", "900B"))
    refuse_beyond_stated(LLAMA, Target("width", "mlp=4000"))
