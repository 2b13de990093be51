"""Norms of intermediate activations over calibration text, for criteria that look at data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ...cut import ModelWeights, owner_of
from ...cut.checkpoint import check_tokens
from ...errors import RunError
from ..opened_model import OpenedModel
from .layer_calls import check_reached, watched_inputs
from .text import BLOCK_TOKENS, for_stacks
from .text_files import plain_text
from .token_batch import TokenBatch

if TYPE_CHECKING:
    from torch import Tensor, nn

MAX_TOKENS = 16_384


def activation_norms(model: nn.Module, batches: Iterable[dict[str, Tensor]]) -> dict[int, Tensor]:
    """Euclidean norm of each neuron's activation over all calibration tokens.

    The activation is the input of down_proj, act(gate(x)) * up(x). Padding (attention_mask 0) is
    left out; squares are summed over all batches before the root is taken, so that the result does
    not depend on how the text was split into batches.

    Args:
        model: A model with GLU blocks; it is run as it stands, in eval mode.
        batches: Keyword arguments of the model: `input_ids`, optionally `attention_mask`,
            both of shape (batch, tokens); of an encoder and a decoder also `decoder_input_ids`.

    Returns:
        Layer to norms, float32, shape (intermediate_size,), on the CPU.

    Raises:
        RunError: No token was given, or an activation is not finite.
        UnsupportedModelError: Text does not reach a layer.
    """
    import torch

    architecture = ModelWeights(model).architecture
    architecture.refuse_unless_uniform("the criterion ppm_activation")
    down = [owner_of(model, group.down)[0] for group in architecture.groups]
    stack_of = [
        number for number, each in enumerate(architecture.stacks) for _ in range(each.count)
    ]
    sums: dict[int, Tensor] = {}
    parts: tuple[TokenBatch, ...] = ()
    tokens = 0

    def add(layer: int, activations: Tensor) -> None:
        nonlocal tokens
        kept = parts[stack_of[layer]].kept(activations.device)
        rows = activations.reshape(-1, activations.shape[-1])[kept]
        tokens += len(rows)
        total = rows.double().square().sum(dim=0).cpu()
        sums[layer] = sums[layer] + total if layer in sums else total

    training = model.training
    model.eval()
    try:
        with watched_inputs(down, add), torch.inference_mode():
            for batch in batches:
                parts = TokenBatch.of(batch).parts
                model(**batch)
    finally:
        model.train(training)
    if not tokens:
        raise RunError("calibration needs at least one batch of tokens")
    check_reached(sums, range(architecture.layers), architecture.model_type)
    for layer, total in sums.items():
        if not torch.isfinite(total).all():
            raise RunError(f"activations of {architecture.groups[layer].name} are not finite")
    return {layer: total.sqrt().float().clone() for layer, total in sums.items()}


def norms_of_text(model: OpenedModel, text_file: Path) -> dict[int, Tensor]:
    """`activation_norms` of a model on disk over a text file, on which it is run.

    At most `MAX_TOKENS` tokens are used, in blocks of `BLOCK_TOKENS`, which an encoder and a
    decoder read as `TextOptions` says.

    Raises:
        RunError: The text cannot be read or holds no token.
    """
    text, tokenizer = plain_text(text_file), model.tokenizer
    ids = tokenizer(text, return_tensors="pt", verbose=False)["input_ids"][0, :MAX_TOKENS]
    if not len(ids):
        raise RunError(f"{text_file}: holds no token to calibrate on")
    blocks = ids.to(next(model.module.parameters()).device).split(BLOCK_TOKENS)
    check_tokens(ids.tolist(), model.embedding_rows, tokenizer, str(text_file))
    batches = [for_stacks(TokenBatch(input_ids=block[None]), model) for block in blocks]
    return activation_norms(model.module, (batch.arguments for batch in batches))
