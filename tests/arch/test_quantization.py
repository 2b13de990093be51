"""What a config says of quantized weights: read where it can be, refused with what to do."""

from __future__ import annotations

from typing import Any

import pytest

from widthwise.arch import TensorSpec, quantization_of, read_architecture, without_quantization
from widthwise.errors import UnsupportedModelError


def specs(model: Any) -> dict[str, TensorSpec]:
    return {n: TensorSpec(tuple(p.shape), "F32") for n, p in model.named_parameters()}


@pytest.mark.parametrize(
    ("method", "words"),
    [
        ("gptq", "gptq: integers of few bits in groups"),
        ("awq", "awq: integers of 4 bits in groups"),
        ("bitsandbytes", "bitsandbytes: NF4, FP4, or integers of 8 bits"),
        ("nvfp4", "nvfp4: numbers of 4 bits"),
        ("of_another_day", "of_another_day"),
    ],
)
def test_what_cannot_be_read_is_refused(method: str, words: str, llama: Any) -> None:
    config = {**llama.config.to_dict(), "quantization_config": {"quant_method": method}}
    packed = {"model.layers.0.mlp.up_proj.weight": TensorSpec((53, 16), "U8")}
    message = rf"quantized \({words}.*cannot read; prune the unquantized checkpoint"
    with pytest.raises(UnsupportedModelError, match=message):
        read_architecture(config, {**specs(llama), **packed})


@pytest.mark.parametrize("method", ["gptq", "fp8"])
def test_a_quantized_model_in_memory_is_refused(method: str, llama: Any) -> None:
    """Its tensors may look whole."""
    config = {**llama.config.to_dict(), "quantization_config": {"quant_method": method}}
    with pytest.raises(UnsupportedModelError, match=rf"quantized \({method}.*pass the folder"):
        read_architecture(config, specs(llama), is_built=True)


@pytest.mark.parametrize("key", ["quantization_config", "compression_config"])
def test_the_entry_is_found_and_taken_out_wherever_it_stands(key: str) -> None:
    entry = {"quant_method": "fp8"}
    text = {"hidden_size": 4, "vocab_size": 5}
    for config in ({**text, key: entry}, {"text_config": {**text, key: entry}, "a": 1}):
        assert quantization_of(config) == entry
        plain = without_quantization(config)
        assert quantization_of(plain) is None
        assert key not in str(plain)
        assert key in str(config)  # which is unchanged
    assert quantization_of({**text, key: {}}) is None
