"""A model is run layer by layer, and computes what it computes as a whole."""

from __future__ import annotations

import pytest
import torch
from families import LAYERS, tiny
from layered_models import uneven_batches
from special_families import batches, crossing, special

from widthwise.errors import UnsupportedModelError
from widthwise.prune.calibration import LayerwiseRunner, calibrate, text_of


def test_a_walk_hands_on_what_the_model_itself_computes() -> None:
    """Through all layers and the last norm: bit for bit what a pass of the whole model gives."""
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    model, given = tiny("gemma3_text", sliding_window=8, layer_types=kinds), uneven_batches(2)
    with LayerwiseRunner(model, text_of(given)) as walk:
        for layer in range(LAYERS):
            walk.advance(layer)
        hidden = walk._batches[0].hidden
    with torch.no_grad():
        expected = model.model(**given[0]).last_hidden_state
        assert torch.equal(model.model.norm(hidden), expected)


def test_what_layers_are_called_with_is_held_once_where_it_is_equal() -> None:
    """Masks and positions of all batches are one; inputs that depend on the tokens are not."""
    model = special("gemma4_per_layer")
    with LayerwiseRunner(model, text_of(batches())) as walk:
        first, second = (batch.calls[1] for batch in walk._batches[:2])
        for one, other in zip(
            first.options["position_embeddings"],
            second.options["position_embeddings"],
            strict=True,
        ):
            assert one is other
        assert not torch.equal(first.arguments[1], second.arguments[1])


def test_an_ordinary_model_is_not_read_more_often() -> None:
    """Beside the passes asked for, three of two rows: one whole, and each layer twice."""
    model, given, read = tiny("llama"), batches(6), [0]
    with torch.no_grad():
        handle = model.model.layers[0].mlp.register_forward_pre_hook(
            lambda _, inputs: read.append(inputs[0].shape[:2].numel())
        )
        calibrate(model, text=given)
    handle.remove()
    assert sum(read) == 6 * 3 * 40 + 3 * 2 * 40


def test_layers_that_text_does_not_reach_are_named() -> None:
    with pytest.raises(UnsupportedModelError, match=r"layers 1, 3 of mllama_text_model are not"):
        calibrate(crossing(), text=batches())
