"""Multipliers within parameters: networks that are trained like those with hooks, and plain."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import tokens
from mup_models import llama, wide

from widthwise.mup import Parametrization, parametrize
from widthwise.mup.absorb import Absorber

GROWN = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}


def logits_of_training(one: Parametrization, model: Any, optimizer: str) -> list[torch.Tensor]:
    """Before training, and after each of three steps."""
    one.init_(model, 0.3, torch.Generator().manual_seed(0))
    one.apply_(model)
    groups = one.groups(model, lr=0.003, optimizer=optimizer, weight_decay=0.1)  # type: ignore[arg-type]
    kind: Any = {"adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[optimizer]
    stepper, logits = kind(groups), []
    for _ in range(4):
        output = model(tokens(), labels=tokens())
        logits.append(output.logits.detach())
        output.loss.backward()
        stepper.step()
        stepper.zero_grad()
    return logits


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_network_without_hooks_is_trained_like_one_with_them(
    optimizer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a shared head and growing heads, at one initial weight: the same logits, step by step."""
    model, other = (wide(tie_word_embeddings=True, **GROWN) for _ in range(2))
    base = llama(tie_word_embeddings=True)
    plain = parametrize(model, base)
    assert (plain.multipliers, plain.attention) == ({}, {})
    monkeypatch.setattr(Absorber, "heads", lambda self, multipliers: multipliers)
    monkeypatch.setattr(Absorber, "attention", lambda self, scales, factors: scales)
    hooked = parametrize(other, base)
    assert hooked.multipliers == {"lm_head": 0.5}
    assert len(hooked.attention) == 3
    pairs = zip(
        logits_of_training(plain, model, optimizer),
        logits_of_training(hooked, other, optimizer),
        strict=True,
    )
    for step, (found, expected) in enumerate(pairs):
        # float32, and the root of Adam's second moment, in another order
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3, msg=str(step))
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_gains_that_1_is_added_to_start_at_as_much_less() -> None:
    import transformers as hf
    from every_family import config_of

    changes = {"hidden_size": 64, "num_attention_heads": 8, "num_key_value_heads": 4}
    config = config_of("gemma3_text", **changes)
    model = hf.AutoModelForCausalLM.from_config(config)
    one = parametrize(config, config_of("gemma3_text"))
    one.init_(model, 0.3)
    gain = model.model.norm.weight
    assert torch.allclose(gain, torch.full_like(gain, 0.5**0.5 - 1))
    scaling = next(w for w in one.weights if w.name == "model.norm.weight")
    assert (scaling.adam, scaling.sgd) == pytest.approx((0.5**0.5, 1.0))  # 2 x 0.5


def test_depth_divides_what_each_layer_adds() -> None:
    """Of a base of fewer layers: ends of branches start and move less, epsilon of all else too."""
    base, deep = llama(num_hidden_layers=2), llama(num_hidden_layers=8)
    one = parametrize(deep, base)
    found = {w.name: w for w in one.weights}
    end, inner = (found[f"model.layers.5.{n}.weight"] for n in ("mlp.down_proj", "mlp.up_proj"))
    assert (end.std, end.adam, end.sgd, end.eps) == (0.25, 0.25, 0.25, 1)
    assert (inner.std, inner.adam, inner.sgd, inner.eps) == (1, 1, 4, 0.25)
    outer = found["model.embed_tokens.weight"]
    assert (outer.std, outer.adam, outer.eps) == (1, 1, 1)
    both = parametrize(wide(num_hidden_layers=6), llama(num_hidden_layers=2))
    end = next(w for w in both.weights if w.name == "model.layers.3.mlp.down_proj.weight")
    assert (end.std, end.adam) == pytest.approx((3**-0.5 / 3, 1 / 9))


def test_a_deeper_network_moves_as_one_of_the_base_whose_layers_are_multiplied() -> None:
    """The definition: x + F(x) / 4, with the rates of the base."""
    base, deep = llama(num_hidden_layers=1), llama(num_hidden_layers=4)
    other = llama(num_hidden_layers=4)
    one = parametrize(deep, base)
    found = logits_of_training(one, deep, "adamw")
    hand = parametrize(other, llama(num_hidden_layers=4), wide(num_hidden_layers=4))

    def quarter(*given: Any) -> Any:
        output = given[-1]
        return (output[0] / 4, *output[1:]) if isinstance(output, tuple) else output / 4

    for layer in other.model.layers:
        layer.self_attn.register_forward_hook(quarter)
        layer.mlp.register_forward_hook(quarter)
    expected = logits_of_training(hand, other, "adamw")
    for step, (a, b) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-3, msg=str(step))


def moved_by_sgd(layers: int) -> float:
    """How far three steps of all that is in the layers move the stream behind the last one."""
    model = llama(num_hidden_layers=layers)
    one = parametrize(model, llama(num_hidden_layers=2), wide(num_hidden_layers=2))
    matrices = [name for name, p in model.named_parameters() if p.dim() > 1]
    stds = {name: 1.0 if "embed" in name else 0.1 for name in matrices}
    one.init_(model, stds, torch.Generator().manual_seed(0))
    inside = [p for name, p in model.named_parameters() if ".layers." in name]
    for parameter in set(model.parameters()) - set(inside):
        parameter.requires_grad_(False)
    stepper = torch.optim.SGD(one.groups(model, lr=0.03, optimizer="sgd"))
    before = model.model(tokens()).last_hidden_state.detach()
    for _ in range(3):
        model(tokens(), labels=tokens()).loss.backward()
        stepper.step()
        stepper.zero_grad()
    after = model.model(tokens()).last_hidden_state.detach()
    return float((after - before).square().mean().sqrt())


def test_sgd_moves_a_deep_network_as_far_as_the_base() -> None:
    """Gradients in the layers fall as 1 over their number: at one rate it would be an eighth."""
    assert moved_by_sgd(16) / moved_by_sgd(2) == pytest.approx(
        1, abs=0.25
    )  # .9 to 1.06 for 4 to 32
