"""Rotations that a GGUF file states, as a config states them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from converted_gguf import LLAMA3, llama3_tensor

from widthwise.assets.gguf_rope import rotation_of


@pytest.mark.parametrize(
    "changes",
    [{}, {"factor": 32.0}, {"low_freq_factor": 2.0, "high_freq_factor": 6.0},
     {"original_max_position_embeddings": 8192}, {"original_max_position_embeddings": 777}],
)  # fmt: skip
def test_llama_3_factors_give_their_parameters_back(changes: dict[str, Any]) -> None:
    """For heads of 128, as Llama's: the parameters, or others that give the same factors."""
    parameters = {**LLAMA3, **changes}
    tensor = llama3_tensor(parameters, 128, 500_000.0).astype(np.float64)
    keys = {"rope.freq_base": 500_000.0, "context_length": 131072}
    found = dict(rotation_of(keys, {"rope_freqs.weight": tensor}, 128).scaling)
    # float32 factors are given
    assert llama3_tensor(found, 128, 500_000.0) == pytest.approx(tensor, rel=1e-5)
    if "low_freq_factor" not in changes:
        assert found.pop("rope_type") == parameters.pop("rope_type")
        assert found == pytest.approx(parameters, rel=1e-3)  # rounded in float32
