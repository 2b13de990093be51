"""Layers run one by one, each batch with its own arguments, do what whole passes do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from families import tiny
from special_families import CUT, batches, special
from whole_passes import assert_close, whole_moments

from widthwise.cut import ModelWeights
from widthwise.errors import UnsupportedModelError
from widthwise.prune import per_layer
from widthwise.prune.calibration import FitAndHoldout, LayerwiseRunner, Moments, calibrate, text_of
from widthwise.prune.refitting import GroupCut, group_cuts, refit, temporarily_cut


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", [*CUT, "gemma3n_text"])
def test_moments_equal_those_of_whole_passes(family: str, padded: bool) -> None:
    model, given = special(family), batches(padded=padded)
    calibration = calibrate(model, text=given)
    for layer, expected in enumerate(whole_moments(model, given)):
        halves = calibration.groups[layer]
        assert_close(halves.fit.total + halves.held_out.total, expected)


@pytest.mark.parametrize("family", ["gemma4_shared", "qwen3_5_text"])
def test_a_sequential_refit_equals_whole_passes_behind_the_cut_layers(family: str) -> None:
    """Later layers read keys that earlier ones made of tokens that passed layers already cut."""
    model, given = special(family), batches(8)
    done = refit(model, width=26, align=1, text=given)
    weights, selection = ModelWeights(model), _selection(26)
    architecture = weights.architecture
    cuts: list[GroupCut] = []
    for layer in range(4):
        sums = []
        for half in (given[::2], given[1::2]):
            total = _behind(
                model, weights, cuts, lambda half=half: whole_moments(model, half, architecture)
            )
            tokens = sum(batch["input_ids"].numel() for batch in half)
            sums.append(Moments(total[layer].float(), tokens))
        halves = FitAndHoldout(fit=sums[0], held_out=sums[1])
        cuts += group_cuts(weights, layer, halves, selection, [26])
    assert done.plan.keep == tuple(cut.keep for cut in cuts)
    for cut, down in zip(cuts, done.down, strict=True):
        # Least squares in float32 moments: 1e-5 of the weight; keys of uncut layers: 0.05 and more.
        assert float((cut.down - down).norm() / down.norm()) < 1e-3


def _selection(width: int) -> Any:
    from widthwise.prune import PruneSpec, resolve_target

    return PruneSpec(target=resolve_target(width=width), criterion="activation", align=1)


def _behind(
    model: Any, weights: ModelWeights, cuts: list[GroupCut], call: Callable[[], Any]
) -> Any:
    """A call while the first layers are cut."""
    if not cuts:
        return call()
    with temporarily_cut(model, weights.architecture, {len(cuts) - 1: cuts[-1]}):
        return _behind(model, weights, cuts[:-1], call)


@pytest.mark.parametrize("family", ["gemma4_shared", "gemma3n_text"])
def test_widths_by_layers_are_measured_with_what_layers_share(family: str) -> None:
    """Of the dense model and the target alone each loss is known: 0, and that of a pass."""
    model, given = special(family), batches(8, padded=True)
    found = per_layer(model, to="0.6x", align=8, text=given)
    again = per_layer(model, to="0.6x", align=8, text=given)
    assert found == again
    width, loss = found.measured[3][0]
    with LayerwiseRunner(model, text_of(given)) as walk:
        halves = [walk.moments(layer, advance=True)[layer] for layer in range(4)]
    weights = ModelWeights(model)
    (cut,) = group_cuts(weights, 3, halves[3], _selection(width), [width])
    held_out = {key: torch.cat([batch[key] for batch in given[1::2]]) for key in given[0]}
    with torch.no_grad():
        dense = model(**held_out).logits.log_softmax(-1)
        with temporarily_cut(model, weights.architecture, {3: cut}):
            other = model(**held_out).logits.log_softmax(-1)
    kept = held_out["attention_mask"].bool()
    expected = float((dense.exp() * (dense - other)).sum(-1)[kept].mean())
    assert loss == pytest.approx(expected, rel=1e-3)  # float32 logits of either way


class Stack(torch.nn.Module):
    """The layers of a llama, called in another way than its own.

    Args:
        decoder: A llama's.
        step: What is done at each layer, from its number, the layer, hidden states and positions.
    """

    def __init__(self, decoder: Any, step: Callable[..., Any]) -> None:
        super().__init__()
        self.embed_tokens, self.layers, self.norm = (
            decoder.embed_tokens,
            decoder.layers,
            decoder.norm,
        )
        self.rotary_emb, self.step = decoder.rotary_emb, step

    def forward(self, input_ids: Any, use_cache: bool = False, **_: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPast

        hidden = self.embed_tokens(input_ids)
        positions = torch.arange(input_ids.shape[1])[None]
        rotations = self.rotary_emb(hidden, position_ids=positions)
        for number, layer in enumerate(self.layers):
            hidden = self.step(number, layer, hidden, rotations)
        return BaseModelOutputWithPast(last_hidden_state=self.norm(hidden))


def stacked(step: Callable[..., Any]) -> Any:
    model = tiny("llama", initializer_range=0.3)
    model.model = Stack(model.model, step)
    return model


def test_hidden_states_may_come_by_a_keyword() -> None:
    def step(_: int, layer: Any, hidden: Any, rotations: Any) -> Any:
        return layer(hidden_states=hidden, position_embeddings=rotations)

    model, given = stacked(step), batches()
    calibration = calibrate(model, text=given)
    for layer, expected in enumerate(whole_moments(model, given)):
        halves = calibration.groups[layer]
        assert_close(halves.fit.total + halves.held_out.total, expected)


class Pairing(torch.nn.Module):
    """A layer that returns a tuple."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.self_attn, self.mlp = layer.self_attn, layer.mlp
        self.whole = [layer]

    def forward(self, x: Any, rotations: Any) -> Any:
        return self.whole[0](x, position_embeddings=rotations), None


def test_layers_may_return_a_tuple() -> None:
    model = stacked(lambda _, layer, hidden, rotations: layer(x=hidden, rotations=rotations)[0])
    model.model.layers = torch.nn.ModuleList(map(Pairing, model.model.layers))
    given = batches(8)
    calibration = calibrate(model, text=given)
    for layer, expected in enumerate(whole_moments(model, given)):
        halves = calibration.groups[layer]
        assert_close(halves.fit.total + halves.held_out.total, expected)
    assert per_layer(model, to="0.6x", align=8, text=given).loss > 0


def test_a_model_that_works_between_its_layers_is_refused() -> None:
    """Also where it does so with later tokens only."""

    def step(_: int, layer: Any, hidden: Any, rotations: Any) -> Any:
        states = layer(hidden, position_embeddings=rotations)
        return torch.cat([states[:, :-1], 0.5 * states[:, -1:]], dim=1)

    with pytest.raises(
        UnsupportedModelError, match=r"layer 1 of llama gives other values when it is run alone"
    ):
        calibrate(stacked(step), text=batches())


def test_layers_that_remember_are_refused() -> None:
    """What a layer saw the first time changes what it does the second."""
    seen: list[Any] = []

    def step(number: int, layer: Any, hidden: Any, rotations: Any) -> Any:
        return layer(hidden, position_embeddings=rotations)

    model = stacked(step)
    layer = model.model.layers[1]
    forward = layer.forward

    def remembering(hidden: Any, **options: Any) -> Any:
        seen.append(hidden)
        return forward(hidden, **options) + len(seen)

    layer.forward = remembering
    with pytest.raises(
        UnsupportedModelError, match=r"layer 1 of llama gives other values when it is run alone"
    ):
        calibrate(model, text=batches())


def test_layers_that_are_run_several_times_are_refused() -> None:
    def step(_: int, layer: Any, hidden: Any, rotations: Any) -> Any:
        return layer(layer(hidden, position_embeddings=rotations), position_embeddings=rotations)

    with pytest.raises(UnsupportedModelError, match="not run once each and in order"):
        calibrate(stacked(step), text=batches())
