"""Exact parameters, bytes and FLOPs of a language model at any width.

`counts_at` computes what a token costs; `prefill_traffic` and `decode_traffic` what a pass over a
whole batch computes and at least moves, which is what a roofline is made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..errors import TargetError, UnsupportedModelError
from ..io import DTYPE_BYTES, FLOAT_DTYPES, TensorSpec
from .active import active_shares, idle_parameters, share_of
from .architecture import Architecture
from .built import is_buffer
from .sections import text_config

MAX_CONTEXT = 10**9


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Costs that follow from shapes alone.

    Attributes:
        width: Neurons in each GLU block.
        expansion_ratio: width / hidden_size.
        parameters: Trainable numbers, tied ones once; equals `sum(p.numel())` of the built model.
        active_parameters: Those that one token passes: all, but of routed experts only as many as
            the router chooses (of their matrices; a bias behind them is counted whole).
        weight_bytes: Bytes of the stored tensors, as dtypes stand (file headers not included),
            draft layers among them; those that a cut leaves out only where nothing is cut.
        prefill_flops_per_token: Mean over the prompt; logits are computed for its last token only.
        decode_flops_per_token: FLOPs of the token that follows `context` tokens held in a cache.
        context: Tokens in the prompt, respectively in the cache.

    A multiply-add is 2 FLOPs. Matrix products are counted and nothing else (norms, activations,
    softmax, and the look-up of embeddings are below 1 % at these sizes). Attention is counted
    causally: token t attends to t tokens, or to the sliding window where a layer has one; of an
    encoder, whose tokens attend to all others, the FLOPs are not meant.
    """

    width: int
    expansion_ratio: float
    parameters: int
    active_parameters: int
    weight_bytes: int
    prefill_flops_per_token: float
    decode_flops_per_token: float
    context: int


def counts_at(
    architecture: Architecture,
    width: int | tuple[int, ...] | None = None,
    *,
    context: int = 1024,
    dtype: str | None = None,
) -> Counts:
    """Counts of `architecture` with `width` neurons in each block.

    Args:
        architecture: The model.
        width: Neurons per block, at least 0; None means as it is. Of a mixture that of an expert,
            the other kinds in proportion; or the width of each of its kinds.
        context: Tokens of prompt (prefill) or of cache (decode), at least 1.
        dtype: safetensors name of the dtype that floating tensors are stored in; None keeps theirs.

    Raises:
        TargetError: The width or the context is out of range.
    """
    widths = _checked(architecture, width, dtype, context=context)
    specs = {name: architecture.cut_spec(name, widths) for name in architecture.tensors}
    removed = sum(architecture.tensors[n].numel - specs[n].numel for n in architecture.cuts)
    if widths == architecture.dense_widths:
        specs |= architecture.left_out
    weight_bytes = sum(_stored_bytes(spec, dtype) for spec in specs.values())
    weight_bytes += _draft_bytes(architecture, widths, dtype)
    per_token, head = _matmul_flops(architecture, widths)
    prefill = sum(
        4 * size * (_attended_sum(0, context, _window(architecture, layer)) / context)
        for layer, size in _attention_width(architecture).items()
    )
    decode = _attention_flops(architecture, context, 1)
    return Counts(
        width=widths[0],
        expansion_ratio=widths[0] / architecture.hidden_size,
        parameters=architecture.parameters - removed,
        active_parameters=architecture.parameters - removed - idle_parameters(architecture, widths),
        weight_bytes=weight_bytes,
        prefill_flops_per_token=per_token + prefill + head / context,
        decode_flops_per_token=per_token + decode + head,
        context=context,
    )


@dataclass(frozen=True, kw_only=True)
class TokenFlops:
    """FLOPs of one token of a text, counted as in `Counts`, by what they are.

    Attributes:
        layers: Products with the matrices of the layers.
        attention: Scores of attention and the sums that they weigh, in the mean over the text.
        head: The logits of one token.
    """

    layers: int
    attention: float
    head: int


def token_flops(
    architecture: Architecture, widths: tuple[int, ...] | None = None, *, context: int
) -> TokenFlops:
    """FLOPs of a token of a text of `context` tokens, where the kinds of groups have these widths.

    Raises: as `counts_at`.
    """
    widths = _checked(architecture, widths, None, context=context)
    layers, head = _matmul_flops(architecture, widths)
    attention = _attention_flops(architecture, 0, context) / context
    return TokenFlops(layers=layers, attention=attention, head=head)


def mean_size(
    architecture: Architecture, widths: Sequence[tuple[int, ...]], dtype: str | None = None
) -> tuple[int, int]:
    """Parameters and bytes of weights where layers have widths of their own.

    Counts are linear in the width, so that those of the whole are the mean over layers; but draft
    layers have the largest width, which is that of the config.

    Args:
        architecture: The model.
        widths: For each layer the width of each kind of group; once where all are alike.
        dtype: As for `counts_at`.
    """
    counts = [counts_at(architecture, each, dtype=dtype) for each in widths]
    drafts = [_draft_bytes(architecture, each, dtype) for each in widths]
    parameters = sum(each.parameters for each in counts) // len(counts)
    weight_bytes = (sum(each.weight_bytes for each in counts) - sum(drafts)) // len(counts)
    return parameters, weight_bytes + max(drafts)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """FLOPs of passes over a batch, and the least bytes that they move to and from memory.

    Attributes:
        flops: Counted as in `Counts`.
        weight_bytes: Weights read, once a pass however large the batch is: the layers, the norm
            behind them, the head, and the rows looked up in an embedding table that is not the
            head as well. Every look-up counts, but never more rows than there are.
        cache_read_bytes: Keys and values of earlier tokens.
        cache_written_bytes: Keys and values of new tokens.

    Activations are left out, as if they never left the processor's caches; that and the cutting of
    the cache to what a sliding window can still see make the bytes a lower bound.
    """

    flops: int
    weight_bytes: int
    cache_read_bytes: int
    cache_written_bytes: int

    @property
    def num_bytes(self) -> int:
        """All bytes, read and written."""
        return self.weight_bytes + self.cache_read_bytes + self.cache_written_bytes


def prefill_traffic(
    architecture: Architecture,
    width: int | tuple[int, ...] | None = None,
    *,
    batch: int,
    prompt_tokens: int,
    dtype: str | None = None,
) -> Traffic:
    """Traffic of the pass that reads `batch` prompts and gives logits for the last token of each.

    With P tokens a prompt: FLOPs are `batch * P * counts_at(context=P).prefill_flops_per_token`;
    a layer with c bytes of keys and values a token writes `batch * P * c` bytes, and one with a
    sliding window w `batch * min(P, w - 1) * c`, as later tokens see no more.

    Args:
        architecture: The model.
        width: As for `counts_at`.
        batch: Prompts, at least 1.
        prompt_tokens: Length of each, padding included, at least 1.
        dtype: safetensors name of the dtype of weights and cache; None means as weights are stored.

    Raises:
        TargetError: A number or the dtype is out of range.
        UnsupportedModelError: A layer has attention, but not the projections of keys and values
            that tell how much it caches.
    """
    widths = _checked(architecture, width, dtype, batch=batch, prompt_tokens=prompt_tokens)
    per_token, head = _matmul_flops(architecture, widths)
    attention = _attention_flops(architecture, 0, prompt_tokens)
    written = sum(
        nbytes * (prompt_tokens if window is None else min(prompt_tokens, window - 1))
        for nbytes, window in _caches(architecture, dtype)
    )
    return Traffic(
        flops=batch * (prompt_tokens * per_token + attention + head),
        weight_bytes=_weights_read(architecture, widths, dtype, batch * prompt_tokens),
        cache_read_bytes=0,
        cache_written_bytes=batch * written,
    )


def decode_traffic(
    architecture: Architecture,
    width: int | tuple[int, ...] | None = None,
    *,
    batch: int,
    context: int,
    steps: int = 1,
    dtype: str | None = None,
) -> Traffic:
    """Traffic of `steps` passes, each over one new token of each of `batch` texts.

    The first step finds `context` tokens in the cache, each later one finds one more. A step that
    finds n: FLOPs are `batch * counts_at(context=n).decode_flops_per_token`; a layer with c bytes
    of keys and values a token reads `batch * n * c` bytes, and one with a sliding window w
    `batch * min(n, w - 1) * c`, as the new token sees itself too; each writes `batch * c`.

    Other arguments and errors are those of `prefill_traffic`.

    Args:
        batch: Texts, at least 1.
        context: Tokens of each text in the cache at the first step, padding included, at least 1.
        steps: New tokens of each text, at least 1.
    """
    widths = _checked(architecture, width, dtype, batch=batch, context=context, steps=steps)
    per_token, head = _matmul_flops(architecture, widths)
    attention = _attention_flops(architecture, context, steps)
    read = written = 0
    for nbytes, window in _caches(architecture, dtype):
        seen = None if window is None else window - 1
        read += nbytes * _attended_sum(context - 1, steps, seen)
        written += nbytes * steps
    return Traffic(
        flops=batch * (steps * (per_token + head) + attention),
        weight_bytes=steps * _weights_read(architecture, widths, dtype, batch),
        cache_read_bytes=batch * read,
        cache_written_bytes=batch * written,
    )


def _checked(
    architecture: Architecture,
    width: int | tuple[int, ...] | None,
    dtype: str | None,
    **numbers: int,
) -> tuple[int, ...]:
    """The width of every kind of group, after all settings were found in range."""
    dense = architecture.dense_widths
    widths = dense if width is None else width
    widths = architecture.widths_at(widths) if isinstance(widths, int) else widths
    for width, widest in zip(widths, dense, strict=True):
        if not 0 <= width <= widest:
            raise TargetError(f"width must be in [0, {widest}]; got {width}")
    if dtype is not None and dtype not in FLOAT_DTYPES:
        raise TargetError(f"dtype must be one of {', '.join(FLOAT_DTYPES)}; got {dtype}")
    for name, number in numbers.items():
        if not 1 <= number <= MAX_CONTEXT:
            raise TargetError(f"{name} must be in [1, {MAX_CONTEXT}]; got {number}")
    return widths


def _draft_bytes(architecture: Architecture, widths: tuple[int, ...], dtype: str | None) -> int:
    """Bytes of the draft layers that a cut keeps."""
    return sum(_stored_bytes(spec, dtype) for spec in architecture.draft_specs(widths))


def _stored_bytes(spec: TensorSpec, dtype: str | None) -> int:
    return spec.numel * DTYPE_BYTES[dtype] if dtype and spec.is_float else spec.nbytes


def _weights_read(
    architecture: Architecture, widths: tuple[int, ...], dtype: str | None, lookups: int
) -> int:
    """Bytes of weights that one pass reads which looks up `lookups` tokens.

    What a language model holds beside its layers stands right next to them (`model.norm.weight`
    by `model.layers`); towers for images and sound lie deeper, and text does not pass them.
    """
    stem, head = architecture.stem + ".", _head(architecture)
    root = architecture.stem[: architecture.stem.rfind(".") + 1]
    total, shares = 0, active_shares(architecture)
    for name in architecture.tensors:
        spec = architecture.cut_spec(name, widths)
        is_beside = name.startswith(root) and name.count(".") == root.count(".") + 1
        if name in (head, head.removesuffix("weight") + "bias"):
            total += _stored_bytes(spec, dtype)
        elif is_beside and name == architecture.table:
            row = _stored_bytes(spec, dtype) // spec.shape[0]
            total += 0 if head in architecture.tied else row * min(lookups, spec.shape[0])
        elif is_beside or (name.startswith(stem) and not is_buffer(name)):
            share = min(Fraction(1), lookups * share_of(architecture, name, shares))
            total += int(_stored_bytes(spec, dtype) * share)
    return total


def _caches(architecture: Architecture, dtype: str | None) -> list[tuple[int, int | None]]:
    """Bytes of keys and values a token, and sliding window, of each layer with attention."""
    result = []
    for layer, size in _attention_width(architecture).items():
        where = _attention(architecture, layer)
        names = [f"{where}.{part}_proj.weight" for part in ("k", "v", "qkv")]
        key, value, fused = map(architecture.tensors.get, names)
        if key is not None and value is not None:
            rows, stored = key.shape[0] + value.shape[0], key.dtype
        elif fused is not None:
            rows, stored = fused.shape[0] - size, fused.dtype  # as many queries as outputs
        else:
            raise UnsupportedModelError(
                f"{where} must have k_proj and v_proj, or qkv_proj; without them the size of its "
                "cache is not known"
            )
        result.append((rows * DTYPE_BYTES[dtype or stored], _window(architecture, layer)))
    return result


def _attention_flops(architecture: Architecture, cached: int, tokens: int) -> int:
    """FLOPs of all layers' attention, of `tokens` tokens of one text after `cached` ones."""
    return sum(
        4 * size * _attended_sum(cached, tokens, _window(architecture, layer))
        for layer, size in _attention_width(architecture).items()
    )


def _attended_sum(before: int, tokens: int, window: int | None) -> int:
    """Sum of `min(n, window)` over n = before + 1, ..., before + tokens.

    It counts what these tokens attend to, each to itself as well.
    """

    def up_to(count: int) -> int:
        full = count if window is None else min(count, window)  # those that see all before them
        return full * (full + 1) // 2 + (count - full) * (window or 0)

    return up_to(before + tokens) - up_to(before)


def _matmul_flops(architecture: Architecture, widths: tuple[int, ...]) -> tuple[int, int]:
    """FLOPs per token of the layers' matrices, and of the LM head."""
    shares = active_shares(architecture)
    stacks = {name for name, cut in architecture.cuts.items() if cut.stacked}
    stems = tuple(f"{stem}." for stem in architecture.stems)
    inside = sum(
        2 * architecture.cut_spec(name, widths).numel * share_of(architecture, name, shares)
        for name, spec in architecture.tensors.items()
        if name.startswith(stems) and len(spec.shape) == (3 if name in stacks else 2)
    )
    name = _head(architecture)
    return int(inside), 2 * architecture.tensors[name].numel if name else 0


def _head(architecture: Architecture) -> str:
    """Name of the LM head, which is the embedding table where none is stored; "" without both."""
    heads = [n for n in architecture.tensors if n.endswith("lm_head.weight")]
    return next(iter(heads), architecture.table)


def _attention_width(architecture: Architecture) -> dict[int, int]:
    """Layer -> attention heads times head size, read off the output projection."""
    result = {}
    for layer in range(architecture.layers):
        spec = architecture.tensors.get(f"{_attention(architecture, layer)}.o_proj.weight")
        if spec is not None:
            result[layer] = spec.shape[1]
    return result


def _attention(architecture: Architecture, layer: int) -> str:
    """Name of a layer's attention, which in some hybrids stands where others have their block."""
    names = [f"{architecture.stem}.{layer}.{part}" for part in ("self_attn", "mixer")]
    return next((n for n in names if f"{n}.o_proj.weight" in architecture.tensors), names[0])


def _window(architecture: Architecture, layer: int) -> int | None:
    """Sliding window of a layer in tokens, or None for full attention."""
    config = text_config(architecture.config)
    window = config.get("sliding_window")
    if not isinstance(window, int) or window < 1 or config.get("use_sliding_window") is False:
        return None
    kinds = config.get("layer_types")
    if isinstance(kinds, list) and layer < len(kinds):
        return window if kinds[layer] == "sliding_attention" else None
    pattern = {"gemma2": 2, "gemma3_text": config.get("sliding_window_pattern", 6)}
    every = pattern.get(architecture.model_type)
    full = isinstance(every, int) and every > 0 and (layer + 1) % every == 0
    return None if full else window
