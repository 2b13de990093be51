"""Moments of experts: from the tokens that the router sends to each, weighed as the output is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from every_family import VOCAB, WIDTH, tiny_model

from widthwise.arch import Architecture
from widthwise.cut import ModelWeights
from widthwise.errors import UnsupportedModelError
from widthwise.prune.calibration.group_moments import ExpertMoments, moments_of_layer
from widthwise.prune.calibration.layerwise import LayerwiseRunner
from widthwise.prune.calibration.text import text_of


def batches(count: int, *, padded: bool = False) -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(5)
    result = []
    for _ in range(count):
        ids = torch.randint(3, VOCAB, (3, 40), generator=generator)
        mask = torch.ones_like(ids)
        mask[0, :9], mask[1, 30:] = 0, 0
        result.append({"input_ids": ids, **({"attention_mask": mask} if padded else {})})
    return result


def inputs_of(model: Any, module: Any, batch: dict[str, Any]) -> list[torch.Tensor]:
    """What a module is called with in a pass."""
    given: list[torch.Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, arguments: given.extend(arguments))
    with torch.no_grad():
        model(**batch, use_cache=False)
    handle.remove()
    return given


def sent_by_mixtral(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """Hidden states, and of each token its experts and their weights."""
    hidden, chosen, gates = inputs_of(model, model.model.layers[0].mlp.experts, batch)
    return hidden, chosen, gates


def sent_by_jetmoe(model: Any, batch: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """The same of a model whose router sorts the tokens by their experts, worked out from logits"""
    block = model.model.layers[0].mlp
    hidden = inputs_of(model, block, batch)[0].flatten(0, 1)
    gates, chosen = block.router.layer(hidden).topk(2)
    return hidden, chosen, gates.softmax(-1)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(
    ("family", "sent", "weights"),
    [
        ("mixtral", sent_by_mixtral, "experts.gate_up_proj"),
        ("jetmoe", sent_by_jetmoe, "input_linear.weight"),
    ],
)
def test_an_expert_has_the_moments_of_its_tokens(
    family: str, sent: Callable[..., Any], weights: str, padded: bool
) -> None:
    """By hand: each token through gate and up of its experts, times the router's weight."""
    model, given = tiny_model(family), batches(8, padded=padded)
    text = text_of(given)
    with LayerwiseRunner(model, text) as runner:
        moments = runner.moments(0, advance=True)
    gate_up = model.model.layers[0].mlp.get_parameter(weights)
    for half, rows in (("fit", text.fit), ("held_out", text.held_out)):
        total = torch.zeros(4, WIDTH, WIDTH)
        tokens = [0] * 4
        for each in rows:
            mask = each.attention_mask
            batch = {"input_ids": each.input_ids}
            batch |= {} if mask is None else {"attention_mask": mask}
            hidden, chosen, gates = sent(model, batch)
            kept = [True] * len(hidden) if mask is None else mask.flatten().bool().tolist()
            for token, is_text in enumerate(kept):
                for expert, weight in zip(chosen[token], gates[token], strict=True):
                    if is_text:
                        gate, up = (gate_up[expert] @ hidden[token]).chunk(2)
                        row = weight * torch.nn.functional.silu(gate) * up
                        total[expert] += torch.outer(row, row).detach()
                        tokens[int(expert)] += 1
        for expert in range(4):
            found = getattr(moments[expert], half)
            assert found.tokens == tokens[expert] >= WIDTH  # else it would be filled up
            torch.testing.assert_close(found.total, total[expert], rtol=1e-4, atol=1e-4)


def test_an_expert_of_few_tokens_is_shown_others_of_its_layer() -> None:
    model = tiny_model("mixtral")
    with torch.no_grad():  # the router sends every token to the experts 0 and 1
        model.model.layers[0].mlp.gate.weight[2:] = 0
        model.model.layers[0].mlp.gate.weight[:2] = 1
        model.model.layers[0].post_attention_layernorm.weight.abs_()
    sums = _layer_sums(model)
    with sums.watching(), torch.no_grad():
        for half in ("fit", "held_out"):
            sums.half = half
            sums.built.module(
                torch.randn(200, 32, generator=torch.Generator().manual_seed(1)),
                torch.tensor([[0, 1]]).expand(200, 2),
                torch.full((200, 2), 0.5),
            )
    tokens = [halves.fit.tokens for halves in sums.result()]
    assert tokens == [200, 200, WIDTH, WIDTH]
    assert all(torch.isfinite(each.fit.mean("here")).all() for each in sums.result())


def _layer_sums(model: Any) -> ExpertMoments:
    (sums,) = moments_of_layer(model, _architecture(model), 0).values()
    assert isinstance(sums, ExpertMoments)
    return sums


def _architecture(model: Any) -> Architecture:
    return ModelWeights(model).architecture


def test_blocks_and_experts_of_a_layer_are_both_read() -> None:
    model = tiny_model("qwen2_moe")
    with LayerwiseRunner(model, text_of(batches(8))) as runner:
        moments = runner.moments(0, advance=True)
    assert [len(moments[group].fit.total) for group in moments] == [24, 24, 24, 24, 40]


def test_experts_that_are_built_otherwise_are_refused() -> None:
    model = tiny_model("jetmoe")
    del model.model.layers[0].mlp.activation
    with pytest.raises(UnsupportedModelError, match="built as JetMoeMoE, whose activations"):
        moments_of_layer(model, _architecture(model), 0)
