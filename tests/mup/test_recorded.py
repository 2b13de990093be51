"""Outputs of layers and logits of attention, as a model runs."""

from __future__ import annotations

import pytest
import torch
from families import tokens
from mup_models import llama
from torch import nn

from widthwise.mup.recorded import recorded_outputs


def recorded(model: nn.Module) -> dict[str, torch.Tensor]:
    with recorded_outputs(model) as outputs, torch.no_grad():
        model(tokens())
    return outputs


@pytest.mark.parametrize("kv_heads", [2, 4])
def test_logits_are_the_same_by_either_way_of_attention(kv_heads: int) -> None:
    """As many as a causal mask leaves in, and those of the model's own scale."""
    model = llama(num_key_value_heads=kv_heads, attn_implementation="sdpa")
    for layer in model.model.layers:
        layer.self_attn.scaling = 0.1
    fused = recorded(model)
    model.set_attn_implementation("eager")
    plain = recorded(model)
    assert fused.keys() == plain.keys()
    name = "model.layers.1.self_attn (logits)"
    rows, length = tokens().shape
    assert fused[name].numel() == rows * 4 * length * (length + 1) // 2
    for key in fused:
        torch.testing.assert_close(fused[key], plain[key], rtol=1e-4, atol=1e-5)  # float32
    with recorded_outputs(model) as half, torch.no_grad():
        for layer in model.model.layers[:2]:
            layer.self_attn.scaling = 0.05
        model(tokens())
    torch.testing.assert_close(half[name.replace("1", "0")] * 2, fused[name.replace("1", "0")])


def test_a_softmax_is_named_by_its_module_and_nothing_stays_behind() -> None:
    class Gate(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.softmax(-1) * torch.softmax(x + torch.tensor([0.0, -1e9]), -1)

    model = nn.Sequential(nn.Linear(2, 2), Gate())
    with recorded_outputs(model) as outputs:
        model(torch.ones(3, 2))
        found = dict(outputs)
    assert list(found) == ["0", "1 (logits)"]  # of two in one module the latter
    assert found["1 (logits)"].shape == (3,)
    outputs.clear()
    model(torch.ones(3, 2))
    assert not outputs
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
