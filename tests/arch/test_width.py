"""How a config states a width, and states another one, in families that state it in their way."""

from __future__ import annotations

from typing import Any

import pytest
from every_family import WIDTH, config_of
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from widthwise.arch import (
    RUN_EXPERTS,
    GroupKind,
    at_width,
    at_widths,
    stated_width,
    text_value,
    width_key,
)
from widthwise.arch.width import refuse_unequal_twins
from widthwise.errors import UnsupportedModelError


def stated(family: str, **changes: Any) -> dict[str, Any]:
    whole: dict[str, Any] = config_of(family, **changes).to_dict()
    return whole


def test_the_usual_setting_is_read_and_changed() -> None:
    config = stated("llama")
    assert (stated_width(config), width_key(config)) == (WIDTH, "intermediate_size")
    assert at_width(config, 24, WIDTH)["intermediate_size"] == 24
    assert config["intermediate_size"] == WIDTH  # the config passed stays as it is


def test_a_class_that_computes_the_width_is_told_not_to() -> None:
    """LFM2 makes 2/3 of what is stated, rounded up, unless it is told that this is the width."""
    config = stated("lfm2")
    assert stated_width(config) is None
    narrow = at_width(config, 24, 40)
    assert (narrow["intermediate_size"], narrow["block_auto_adjust_ff_dim"]) == (24, False)
    assert stated_width(narrow) == 24


def test_an_older_name_of_the_setting_is_changed_as_well() -> None:
    """The class takes block_ff_dim, where a file has it, before intermediate_size."""
    narrow = at_width({**stated("lfm2"), "block_ff_dim": WIDTH}, 24, 40)
    assert CONFIG_MAPPING["lfm2"].from_dict(narrow).intermediate_size == 24


def test_a_setting_of_twice_the_width_is_halved() -> None:
    config = stated("recurrent_gemma")
    assert stated_width(config) == config["intermediate_size"] // 2 == WIDTH
    assert at_width(config, 24, WIDTH)["intermediate_size"] == 48


def test_a_family_with_a_setting_of_its_own() -> None:
    config = stated("granitemoehybrid-dense")
    assert width_key(config) == "shared_intermediate_size"
    narrow = at_width(config, 24, stated_width(config))
    assert narrow["shared_intermediate_size"] == 24
    assert narrow["intermediate_size"] == config["intermediate_size"]  # of no experts


@pytest.mark.parametrize("nested", [False, True])
def test_each_kind_of_a_mixture_is_stated_by_its_setting(nested: bool) -> None:
    config = stated("qwen2_moe")
    config = {"model_type": "x", "text_config": config} if nested else config
    kinds = (
        GroupKind("experts", "moe_intermediate_size", 24),
        GroupKind("shared", "shared_expert_intermediate_size", 40),
    )
    narrow = at_widths(config, kinds, (8, 16))
    text = narrow["text_config"] if nested else narrow
    assert (text["moe_intermediate_size"], text["shared_expert_intermediate_size"]) == (8, 16)
    assert text["intermediate_size"] == WIDTH
    assert RUN_EXPERTS not in text
    odd = at_widths(config, kinds, (12, 16))  # 24 bytes a row, for which torch has no fast product
    assert (odd["text_config"] if nested else odd)[RUN_EXPERTS] == "eager"


def test_an_encoder_states_its_width_beside_its_decoder() -> None:
    config = stated("t5gemma")
    del config["encoder"]["num_hidden_layers"], config["encoder"]["layer_types"]  # 26 by default
    narrow = at_width(config, 24, WIDTH)
    assert [narrow[name]["intermediate_size"] for name in ("encoder", "decoder")] == [24, 24]
    assert text_value(config, "encoder.num_hidden_layers") == 26
    assert text_value(config, "num_hidden_layers") == 2
    config["encoder"]["intermediate_size"] = 64
    with pytest.raises(
        UnsupportedModelError, match=r"decoder: intermediate_size is 56, and 64 in en"
    ):
        refuse_unequal_twins(config)
