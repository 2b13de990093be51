"""Exact parameters, bytes and FLOPs per token of a language model at any width."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import TargetError
from .glu import DTYPE_BYTES, Architecture, text_config

MAX_CONTEXT = 10**9
_BUFFERS = re.compile(r"(rotary_emb\.inv_freq|masked_bias|\.attention\.bias)$")


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Costs that follow from shapes alone.

    Attributes:
        width: Neurons in each GLU block.
        expansion_ratio: width / hidden_size.
        parameters: Trainable numbers, tied ones once; equals `sum(p.numel())` of the built model.
        weight_bytes: Bytes of the stored tensors, as dtypes stand (file headers not included).
        prefill_flops_per_token: Mean over the prompt; logits are computed for its last token only.
        decode_flops_per_token: FLOPs of the token that follows `context` tokens held in a cache.
        context: Tokens in the prompt, respectively in the cache.

    A multiply-add is 2 FLOPs. Matrix products are counted and nothing else (norms, activations,
    softmax, and the look-up of embeddings are below 1 % at these sizes). Attention is counted
    causally: token t attends to t tokens, or to the sliding window where a layer has one.
    """

    width: int
    expansion_ratio: float
    parameters: int
    weight_bytes: int
    prefill_flops_per_token: float
    decode_flops_per_token: float
    context: int


def counts_at(
    architecture: Architecture,
    width: int | None = None,
    *,
    context: int = 1024,
    dtype: str | None = None,
) -> Counts:
    """Counts of `architecture` with `width` neurons in each block.

    Args:
        architecture: The model.
        width: Neurons per block, at least 0; None means as it is.
        context: Tokens of prompt (prefill) or of cache (decode), at least 1.
        dtype: safetensors name of the dtype that floating tensors are stored in; None keeps theirs.

    Raises:
        TargetError: The width or the context is out of range.
    """
    width = architecture.intermediate_size if width is None else width
    if not 0 <= width <= architecture.intermediate_size or not 1 <= context <= MAX_CONTEXT:
        raise TargetError(
            f"width must be in [0, {architecture.intermediate_size}] and context in "
            f"[1, {MAX_CONTEXT}]; got {width} and {context}"
        )
    specs = {name: architecture.spec_at(name, width) for name in architecture.tensors}
    parameters = sum(
        spec.numel
        for name, spec in specs.items()
        if spec.is_float and name not in architecture.tied and not _BUFFERS.search(name)
    )
    weight_bytes = sum(
        spec.numel * DTYPE_BYTES[dtype] if dtype and spec.is_float else spec.nbytes
        for spec in specs.values()
    )
    per_token, head = _matmul_flops(architecture, width)
    lengths = _attended(architecture, context)
    attention = _attention_width(architecture)
    decode = sum(4 * attention[layer] * now for layer, (now, _) in lengths.items())
    prefill = sum(4 * attention[layer] * mean for layer, (_, mean) in lengths.items())
    return Counts(
        width=width,
        expansion_ratio=width / architecture.hidden_size,
        parameters=parameters,
        weight_bytes=weight_bytes,
        prefill_flops_per_token=per_token + prefill + head / context,
        decode_flops_per_token=per_token + decode + head,
        context=context,
    )


def _matmul_flops(architecture: Architecture, width: int) -> tuple[int, int]:
    """FLOPs per token of the layers' matrices, and of the LM head."""
    inside = sum(
        2 * architecture.spec_at(name, width).numel
        for name, spec in architecture.tensors.items()
        if name.startswith(architecture.stem + ".") and len(spec.shape) == 2
    )
    heads = [n for n in architecture.tensors if n.endswith("lm_head.weight")]
    tables = [n for n in architecture.tensors if n.endswith("embed_tokens.weight")]
    head = sum(2 * architecture.tensors[name].numel for name in (heads or tables)[:1])
    return inside, head


def _attention_width(architecture: Architecture) -> dict[int, int]:
    """Layer -> attention heads times head size, read off the output projection."""
    return {
        layer: architecture.tensors[f"{architecture.stem}.{layer}.self_attn.o_proj.weight"].shape[1]
        for layer in range(architecture.layers)
        if f"{architecture.stem}.{layer}.self_attn.o_proj.weight" in architecture.tensors
    }


def _attended(architecture: Architecture, context: int) -> dict[int, tuple[int, float]]:
    """Layer -> tokens attended by the token after `context`, and mean over a prompt of `context`.

    The token that is being computed attends to itself as well.
    """
    result = {}
    for layer in _attention_width(architecture):
        window = _window(architecture, layer) or context + 1
        full = min(context, window)  # prompt tokens that still see everything before them
        triangle = full * (full + 1) // 2 + (context - full) * window
        result[layer] = (min(context + 1, window), triangle / context)
    return result


def _window(architecture: Architecture, layer: int) -> int | None:
    """Sliding window of a layer in tokens, or None for full attention."""
    config = text_config(architecture.config)
    window = config.get("sliding_window")
    if not isinstance(window, int) or config.get("use_sliding_window") is False:
        return None
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and layer < len(kinds):
        return window if kinds[layer] == "sliding_attention" else None
    pattern = {"gemma2": 2, "gemma3_text": config.get("sliding_window_pattern", 6)}
    every = pattern.get(architecture.model_type)
    full = isinstance(every, int) and every > 0 and (layer + 1) % every == 0
    return None if full else window
