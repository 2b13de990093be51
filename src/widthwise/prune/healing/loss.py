"""How far a child is from its parent: the loss of its training, and on text that is held out.

The loss is the KL divergence from the parent's logits, and the distance of hidden states.

Logits of all tokens are never in memory at once: the divergence and its gradient are computed for a
chunk of the tokens at a time, from hidden states and the weights of both heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from ...errors import RunError, UnsupportedModelError
from ..calibration.layer_calls import patched_forward
from .heldout import Blockwise, HeldOut

_CHUNK = {"cpu": 2**25, "cuda": 2**27}  # logits of one product: 64 MB, 256 MB in bfloat16
_MARK = 1 / 16  # a logit by which a scale is seen: small beside every cap
_ROWS = {"cpu": 2**20, "cuda": 2**27}  # of these, worked on at once: they stay in a core's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class HealingHead:
    """The output projection of a model, and what its family does to the logits after it.

    Attributes:
        weight: Shape (vocabulary, hidden size).
        bias: Shape (vocabulary,), or None.
        scale: Factor of the logits (cohere, granite, muse_glimmer), as a pass shows it.
        cap: Bound of the logits, kept by a hyperbolic tangent (gemma2); None for none.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, model: Any) -> HealingHead:
        """The head of a `transformers` model, which is run on one token to see the scale.

        Raises:
            UnsupportedModelError: The model makes its logits in another way.
        """
        layer, config = model.get_output_embeddings(), model.config.get_text_config()
        cap, device = getattr(config, "final_logit_softcapping", None), layer.weight.device
        mark = torch.full((1, 1, 1), _MARK, dtype=torch.float64, device=device)
        token = torch.zeros(1, 1, dtype=torch.long, device=device)
        with torch.no_grad():
            logits = _passed(model, token, lambda _: mark)[1].logits
        if logits.numel() != 1:
            raise _other_logits(model)
        made = float(logits)
        scale = (made if cap is None else cap * math.atanh(made / cap)) / _MARK
        return cls(weight=layer.weight, bias=layer.bias, scale=scale, cap=cap)

    def product(self, hidden: Tensor) -> Tensor:
        """The projection alone, in the dtype of the weights, shape (tokens, vocabulary)."""
        return torch.nn.functional.linear(hidden, self.weight, self.bias)

    def logits(self, product: Tensor, temperature: float = 1.0) -> Tensor:
        """Logits over the temperature, a new tensor at least in float32, of the same shape."""
        logits = product.to(torch.promote_types(product.dtype, torch.float32), copy=True)
        if self.cap is not None:
            logits.mul_(self.scale / self.cap).tanh_().mul_(self.cap / temperature)
        elif self.scale != temperature:
            logits.mul_(self.scale / temperature)
        return logits

    def back(self, gradient: Tensor, logits: Tensor, temperature: float) -> None:
        """Turn a gradient with respect to `logits(...)` into one by the bare product, in place."""
        if self.cap is not None:
            gradient.mul_(1 - (logits * (temperature / self.cap)).square_())
        if self.scale != temperature:
            gradient.mul_(self.scale / temperature)


def chunks(tokens: int, vocabulary: int, device: Any, most: Mapping[str, int]) -> list[slice]:
    """Slices of the tokens with so many logits at most, but one token at least."""
    size = max(1, most["cpu" if device.type == "cpu" else "cuda"] // vocabulary)
    return [slice(start, min(start + size, tokens)) for start in range(0, tokens, size)]


def in_rows(
    hidden: Tensor, head: HealingHead, parent_hidden: Tensor, parent_head: HealingHead
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Log-probabilities by both heads, of a few tokens at a time, and which tokens these are.

    Arguments: as for `divergence`.
    """
    size, device = len(head.weight), hidden.device
    for chunk in chunks(len(hidden), size, device, _CHUNK):
        child, parent = head.product(hidden[chunk]), parent_head.product(parent_hidden[chunk])
        for rows in chunks(len(child), size, device, _ROWS):
            tokens = slice(chunk.start + rows.start, chunk.start + rows.stop)
            logs = head.logits(child[rows]).log_softmax(-1)
            yield tokens, logs, parent_head.logits(parent[rows]).log_softmax(-1)


def divergence(
    hidden: Tensor,
    head: HealingHead,
    parent_hidden: Tensor,
    parent_head: HealingHead,
    temperature: float = 1.0,
) -> Tensor:
    """T^2 KL(softmax(parent / T) || softmax(child / T)), the mean over tokens, in nats.

    Its gradient by a child's logits z is T (p_child - p_parent) over the tokens; it is computed
    with the value, in chunks, and goes on to `hidden` and to the child's head. T^2 keeps the size
    of the gradient from falling with T (Hinton, Vinyals and Dean 2015, arXiv 1503.02531,
    section 2).

    Args:
        hidden: Hidden states before the child's head, shape (tokens, hidden size).
        head: The child's head.
        parent_hidden: Hidden states before the parent's head, of the same tokens.
        parent_head: The parent's head.
        temperature: T.

    Memory: logits of a chunk of the tokens, whatever their number: about 200 megabytes on a CPU,
    and up to 3 gigabytes on a GPU.
    """
    with torch.no_grad():
        total, *gradients = _sums(hidden, head, parent_hidden, parent_head, temperature)
    size = temperature**2 / len(hidden)
    apply: Any = _Scaled.apply
    value: Tensor = apply(total, gradients, size, hidden, head.weight, head.bias)
    return value


class _Scaled(torch.autograd.Function):
    """A total times a size, whose gradients by the inputs that follow are known with it."""

    @staticmethod
    def forward(
        ctx: Any, total: Tensor, gradients: Sequence[Tensor | None], size: float, *_: Tensor | None
    ) -> Tensor:
        ctx.size = size
        ctx.save_for_backward(*gradients)
        return total * size

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
        saved, size = ctx.saved_tensors, outer * ctx.size
        return None, None, None, *(part if part is None else part * size.to(part) for part in saved)


def _sums(
    hidden: Tensor,
    head: HealingHead,
    parent_hidden: Tensor,
    parent_head: HealingHead,
    temperature: float,
) -> tuple[Tensor | None, ...]:
    """KL of all tokens, summed up, and its gradients by hidden states, weight and bias."""
    weight, bias, device = head.weight, head.bias, hidden.device
    wide = torch.promote_types(hidden.dtype, torch.float32)
    total = torch.zeros((), dtype=torch.float64, device=device)
    by_hidden = torch.empty_like(hidden)
    by_weight = torch.zeros_like(weight, dtype=wide) if weight.requires_grad else None
    is_biased = bias is not None and bias.requires_grad
    by_bias = torch.zeros(len(weight), dtype=wide, device=device) if is_biased else None
    for chunk in chunks(len(hidden), len(weight), device, _CHUNK):
        child, parent = head.product(hidden[chunk]), parent_head.product(parent_hidden[chunk])
        for rows in chunks(len(child), len(weight), device, _ROWS):
            parent_logits = parent_head.logits(parent[rows], temperature)
            value, gradient = _of_rows(head, child[rows], parent_logits, temperature)
            total += value
            if by_bias is not None:
                by_bias += gradient.sum(0)
            child[rows] = gradient  # the product is not needed any more
        torch.mm(child, weight, out=by_hidden[chunk])
        if by_weight is not None:
            by_weight += child.T @ hidden[chunk]
    return total.to(wide), by_hidden, by_weight, by_bias


def _of_rows(
    head: HealingHead, product: Tensor, parent_logits: Tensor, temperature: float
) -> tuple[Tensor, ...]:
    """KL of a few tokens, summed up, and its gradient by the child's product."""
    logits = head.logits(product, temperature)
    logs, parent_logs = logits.log_softmax(-1), parent_logits.log_softmax(-1)
    probability, vecdot = parent_logs.exp(), torch.linalg.vecdot
    value = (vecdot(probability, parent_logs) - vecdot(probability, logs)).sum()
    gradient = logs.exp_().sub_(probability)
    head.back(gradient, logits, temperature)
    return value, gradient


def relative_hidden_error(hidden: Sequence[Tensor], parent_hidden: Sequence[Tensor]) -> Tensor:
    """|h - h'|^2 / |h'|^2, the mean over tokens and layers, h' being the parent's.

    It is a ratio for each token, since the hidden state of the first token of a text is tens of
    times as long as the others and would dominate a ratio of sums.

    Args:
        hidden: Hidden states of the child behind each layer, shape (..., hidden size).
        parent_hidden: Those of the parent.
    """
    wide = torch.promote_types(hidden[0].dtype, torch.float32)
    total = torch.zeros((), dtype=wide, device=hidden[0].device)
    for child, parent in zip(hidden, parent_hidden, strict=True):
        parent = parent.to(wide)
        length = parent.square().sum(-1).clamp_min(torch.finfo(wide).tiny)
        total = total + ((child.to(wide) - parent).square().sum(-1) / length).mean()
    return total / len(hidden)


def hidden_states(
    model: Any, rows: Tensor, *, layers: bool = False
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a model over token rows up to its output projection.

    Args:
        model: A `transformers` model.
        rows: Token ids without padding, shape (rows, tokens).
        layers: Whether the states behind each layer are returned, too.

    Returns:
        What the projection is given, shape (tokens, hidden size), and the hidden states behind each
        layer; none where they were not asked for.

    Raises:
        UnsupportedModelError: The model makes its logits without that layer.
    """
    hidden, output = _passed(model, rows, lambda hidden: hidden[..., :1], layers=layers)
    return hidden.flatten(0, 1), tuple(output.hidden_states[1:]) if layers else ()


def _passed(
    model: Any, rows: Tensor, projected: Callable[[Tensor], Tensor], *, layers: bool = False
) -> tuple[Tensor, Any]:
    """What the output projection is given, and what the model makes of `projected` in its place."""
    given: list[Tensor] = []

    def project(hidden: Tensor) -> Tensor:
        given.append(hidden)
        return projected(hidden)

    with patched_forward([model.get_output_embeddings()], [project]):
        output = model(input_ids=rows, use_cache=False, output_hidden_states=layers)
    if len(given) != 1:
        raise UnsupportedModelError(
            f"{type(model).__name__} does not make its logits by one call of its output "
            "projection, so it cannot be healed"
        )
    return given[0], output


def _other_logits(model: Any) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"{model.config.model_type} changes its logits in a way that heal does not support"
    )


def checked_head(model: Any, rows: Tensor) -> HealingHead:
    """The head of a model, which gives the model's logits on a few tokens, shape (1, tokens).

    Raises:
        RunError: They are not finite.
        UnsupportedModelError: `HealingHead` gives others.
    """
    with torch.no_grad():
        expected = model(rows, use_cache=False).logits.flatten(0, 1).float()
        head = HealingHead.of(model)
        logits = head.logits(head.product(hidden_states(model, rows)[0])).float()
    if not torch.isfinite(expected).all():
        raise RunError(
            f"the logits of {model.config.name_or_path or 'a model in memory'} are not finite: its "
            "weights hold NaN or Inf, or overflow"
        )
    # Both come from one product; a cap or a scale may be rounded to bfloat16 three times between.
    near = 2**-6 * float(expected.abs().max())
    if expected.shape != logits.shape or not torch.allclose(expected, logits, rtol=0, atol=near):
        raise _other_logits(model)
    return head


class Judge:
    """Compares children with one parent, always on the same blocks.

    What the parent makes of the blocks is computed once and kept, so that a judgement costs the
    child's pass and the products of both heads.

    Args:
        parent: A `transformers` model.
        rows: Token rows that no child is trained on, shape (blocks, tokens).
        micro: Number of blocks run at once.

    Memory: a hidden state of the parent a token of the rows.
    """

    def __init__(self, parent: Any, rows: Tensor, micro: int) -> None:
        self.rows = rows
        self._head = HealingHead.of(parent)
        device = next(parent.parameters()).device
        self._parts = [some.to(device) for some in torch.split(rows, max(1, micro))]
        with torch.no_grad():
            self._states = [hidden_states(parent, part)[0] for part in self._parts]

    def __call__(self, child: Any) -> HeldOut:
        """How far a child on the parent's device is from it."""
        head = HealingHead.of(child)
        with torch.no_grad():
            parts = [
                _block_means(child, head, states, self._head, rows)
                for rows, states in zip(self._parts, self._states, strict=True)
            ]
        divergence, own, parent = (tuple(chain(*each)) for each in zip(*parts, strict=True))
        return HeldOut(blocks=Blockwise(divergence=divergence, child=own, parent=parent))


def _block_means(
    child: Any, head: HealingHead, parent: Tensor, parent_head: HealingHead, rows: Tensor
) -> list[list[float]]:
    """A block's mean divergence, and mean -log p of the next token by both; of each block."""
    vecdot = torch.linalg.vecdot
    states, _ = hidden_states(child, rows)
    target = torch.cat([rows[:, 1:], rows[:, :1]], 1).flatten()  # what follows the last is unknown
    values = []
    for tokens, logs, parent_logs in in_rows(states, head, parent, parent_head):
        next_token, probability = target[tokens, None], parent_logs.exp()
        kl = vecdot(probability, parent_logs) - vecdot(probability, logs)
        own, other = (-each.gather(1, next_token)[:, 0] for each in (logs, parent_logs))
        values.append((kl, own, other))
    blocks = [
        torch.cat(parts).double().cpu().view(len(rows), -1) for parts in zip(*values, strict=True)
    ]
    known = [blocks[0], *(part[:, :-1].contiguous() for part in blocks[1:])]
    return [part.mean(1).tolist() for part in known]
