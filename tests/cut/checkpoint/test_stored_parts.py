"""Which stored tensors a parameter is put together from, through whatever transformers does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from every_family import tiny_model
from safetensors.torch import load_file

from widthwise.cut.checkpoint import Checkpoint, load_model, stored_parts

FAMILIES = ("llama", "mixtral", "deepseek_v3", "granitemoe", "llama4_text", "olmo_hybrid", "jamba")


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_put_together_from_its_parts(family: str, tmp_path: Path) -> None:
    tiny_model(family).save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    with Checkpoint(tmp_path) as checkpoint:
        parts, model = stored_parts(checkpoint), load_model(checkpoint)
    parameters = dict(model.named_parameters())
    assert set(parameters) <= set(parts)
    for name, pieces in parts.items():
        for piece, index in pieces.items():
            assert torch.equal(parameters[name][index], stored[piece])
        assert sum(stored[piece].numel() for piece in pieces) == parameters[name].numel()
