"""What a pruned model is trained on: to say what its parent says, and to think what it thinks.

Logits of all tokens are never there at once: the divergence and its gradient are made a piece of
the tokens at a time, from hidden states and the weights of both heads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ...errors import RunError, UnsupportedModelError

if TYPE_CHECKING:
    from torch import Tensor

_PIECE = {"cpu": 2**25, "cuda": 2**27}  # logits of one product: 64 MB, 256 MB in bfloat16
_ROWS = {"cpu": 2**20, "cuda": 2**27}  # of these, worked on at once: they stay in a core's cache


@dataclass(frozen=True, kw_only=True, eq=False)
class HealingHead:
    """The last product of a model, and what its family does to the logits after it.

    Attributes:
        weight: Shape (vocabulary, hidden size).
        bias: Shape (vocabulary,), or None.
        scale: What logits are multiplied by (cohere, granite).
        cap: Bound they are bent to by a tangens hyperbolicus (gemma2); None for none.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, model: Any) -> HealingHead:
        """The head of a `transformers` model."""
        config, layer = model.config.get_text_config(), model.get_output_embeddings()
        scale = float(getattr(config, "logit_scale", None) or 1.0)
        scale /= float(getattr(config, "logits_scaling", None) or 1.0)
        cap = getattr(config, "final_logit_softcapping", None)
        return cls(weight=layer.weight, bias=layer.bias, scale=scale, cap=cap)

    def product(self, hidden: Tensor) -> Tensor:
        """The last product alone, in the dtype of the weights, shape (tokens, vocabulary)."""
        import torch

        return torch.nn.functional.linear(hidden, self.weight, self.bias)

    def logits(self, product: Tensor, temperature: float = 1.0) -> Tensor:
        """Logits over the temperature, a new tensor at least in float32, of the same shape."""
        import torch

        found = product.to(torch.promote_types(product.dtype, torch.float32), copy=True)
        if self.cap is not None:
            found.mul_(self.scale / self.cap).tanh_().mul_(self.cap / temperature)
        elif self.scale != temperature:
            found.mul_(self.scale / temperature)
        return found

    def back(self, gradient: Tensor, logits: Tensor, temperature: float) -> None:
        """Turn a gradient by `logits` into one by the bare product, in place.

        Args:
            gradient: By what `logits` gave.
            logits: What it gave.
            temperature: That it was given.
        """
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

    Args:
        hidden, head, parent_hidden, parent_head: As for `divergence`.
    """
    size, device = len(head.weight), hidden.device
    for piece in chunks(len(hidden), size, device, _PIECE):
        own, other = head.product(hidden[piece]), parent_head.product(parent_hidden[piece])
        for rows in chunks(len(own), size, device, _ROWS):
            place = slice(piece.start + rows.start, piece.start + rows.stop)
            logs = head.logits(own[rows]).log_softmax(-1)
            yield place, logs, parent_head.logits(other[rows]).log_softmax(-1)


def divergence(
    hidden: Tensor,
    head: HealingHead,
    parent_hidden: Tensor,
    parent_head: HealingHead,
    temperature: float = 1.0,
) -> Tensor:
    """T^2 KL(softmax(parent / T) || softmax(child / T)), the mean over tokens, in nats.

    Its gradient by a child's logits z is T (p_child - p_parent) over the tokens; it is made with
    the value, in pieces, and goes on to `hidden` and to the child's head. T^2 keeps the size of the
    gradient from falling with T (Hinton, Vinyals and Dean 2015, arXiv 1503.02531, section 2).

    Args:
        hidden: What the child's head is given, shape (tokens, hidden size).
        head: The child's.
        parent_hidden: What the parent's head is given, for the same tokens.
        parent_head: The parent's.
        temperature: T.

    Memory: logits of a piece of the tokens, whatever their number: about 200 megabytes on a CPU,
    and up to 3 gigabytes on a GPU.
    """
    found: Tensor = _divergence().apply(
        hidden, head.weight, head.bias, head, parent_hidden, parent_head, temperature
    )
    return found


@cache
def _divergence() -> Any:
    """The autograd function, made when torch is loaded."""
    import torch

    class Divergence(torch.autograd.Function):
        @staticmethod
        def forward(
            ctx: Any,
            hidden: Tensor,
            weight: Tensor,
            bias: Tensor | None,
            head: HealingHead,
            parent_hidden: Tensor,
            parent_head: HealingHead,
            temperature: float,
        ) -> Tensor:
            ctx.size = temperature**2 / len(hidden)
            total, *gradients = _sums(
                hidden, head, parent_hidden, parent_head, temperature, ctx.needs_input_grad[1:3]
            )
            ctx.save_for_backward(*gradients)
            value: Tensor = total * ctx.size
            return value

        @staticmethod
        @torch.autograd.function.once_differentiable
        def backward(ctx: Any, outer: Tensor) -> tuple[Any, ...]:
            saved, size = ctx.saved_tensors, outer * ctx.size
            found = [None if part is None else part * size.to(part) for part in saved]
            return (*found, None, None, None, None)

    return Divergence


def _sums(
    hidden: Tensor,
    head: HealingHead,
    parent_hidden: Tensor,
    parent_head: HealingHead,
    temperature: float,
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """KL of all tokens, summed up, and its gradients by hidden states, weight and bias.

    Args:
        wanted: Whether the gradients by weight and by bias are.
    """
    import torch

    weight, device = head.weight, hidden.device
    wide = torch.promote_types(hidden.dtype, torch.float32)
    total = torch.zeros((), dtype=torch.float64, device=device)
    by_hidden = torch.empty_like(hidden)
    by_weight = torch.zeros_like(weight, dtype=wide) if wanted[0] else None
    by_bias = torch.zeros(len(weight), dtype=wide, device=device) if wanted[1] else None
    for piece in chunks(len(hidden), len(weight), device, _PIECE):
        own, other = head.product(hidden[piece]), parent_head.product(parent_hidden[piece])
        for rows in chunks(len(own), len(weight), device, _ROWS):
            there = parent_head.logits(other[rows], temperature)
            part, gradient = _of_rows(head, own[rows], there, temperature)
            total += part
            if by_bias is not None:
                by_bias += gradient.sum(0)
            own[rows] = gradient  # the product is not needed any more
        torch.mm(own, weight, out=by_hidden[piece])
        if by_weight is not None:
            by_weight += own.T @ hidden[piece]
    return total.to(wide), by_hidden, by_weight, by_bias


def _of_rows(
    head: HealingHead, product: Tensor, other: Tensor, temperature: float
) -> tuple[Tensor, ...]:
    """KL of a few tokens, summed up, and its gradient by the child's product; other is used up."""
    import torch

    logits = head.logits(product, temperature)
    logs, other = logits.log_softmax(-1), other.log_softmax(-1)
    likely = other.exp()
    value = (torch.linalg.vecdot(likely, other) - torch.linalg.vecdot(likely, logs)).sum()
    gradient = logs.exp_().sub_(likely)
    head.back(gradient, logits, temperature)
    return value, gradient


def relative_hidden_error(hidden: Sequence[Tensor], parent_hidden: Sequence[Tensor]) -> Tensor:
    """|h - h'|^2 / |h'|^2, the mean over tokens and layers, h' being the parent's.

    A ratio for each token: the first token of a text is tens of times as long as the others, and
    would be all that a ratio of sums is about.

    Args:
        hidden: The child's hidden states behind each layer, shape (..., hidden size).
        parent_hidden: The parent's.
    """
    import torch

    wide = torch.promote_types(hidden[0].dtype, torch.float32)
    total = torch.zeros((), dtype=wide, device=hidden[0].device)
    for own, other in zip(hidden, parent_hidden, strict=True):
        other = other.to(wide)
        length = other.square().sum(-1).clamp_min(torch.finfo(wide).tiny)
        total = total + ((own.to(wide) - other).square().sum(-1) / length).mean()
    return total / len(hidden)


@dataclass(frozen=True, kw_only=True, eq=False)
class HiddenStates:
    """What a model makes of some token rows, before its last product.

    Attributes:
        last: What the head is given, shape (tokens, hidden size).
        layers: Hidden states behind each layer; empty where they were not asked for.
    """

    last: Tensor
    layers: tuple[Tensor, ...] = ()


def hidden_states(model: Any, rows: Tensor, *, layers: bool = False) -> HiddenStates:
    """Run a model over token rows, up to its last product.

    Args:
        model: A `transformers` model.
        rows: Token ids, shape (rows, tokens), without padding.
        layers: Whether the states behind each layer are wanted too.
    """
    found = _decoder(model)(input_ids=rows, use_cache=False, output_hidden_states=layers)
    states = tuple(found.hidden_states[1:]) if layers else ()
    return HiddenStates(last=found.last_hidden_state.flatten(0, 1), layers=states)


def _decoder(model: Any) -> Any:
    """The part of a model that comes before its head.

    Raises:
        UnsupportedModelError: There is none such.
    """
    found, head = model.get_decoder(), model.get_output_embeddings()
    if found is model:  # as of a text model whose part has another name than its class says
        found = next((each for each in model.children() if each is not head), None)
    if found is None or any(each is head for each in found.modules()):
        raise UnsupportedModelError(
            f"{type(model).__name__} cannot be run without its head, so it cannot be healed"
        )
    return found


def check_head(model: Any, rows: Tensor) -> None:
    """Raise unless `HealingHead` gives the logits that the model itself gives.

    Args:
        model: A `transformers` model.
        rows: A few tokens, shape (1, tokens).

    Raises:
        RunError: They are not finite.
        UnsupportedModelError: `HealingHead` gives others.
    """
    import torch

    with torch.no_grad():
        own = model(rows, use_cache=False).logits.flatten(0, 1).float()
        head = HealingHead.of(model)
        ours = head.logits(head.product(hidden_states(model, rows).last)).float()
    if not torch.isfinite(own).all():
        raise RunError(
            f"the logits of {model.config.name_or_path or 'a model in memory'} are not finite: its "
            "weights hold NaN or Inf, or overflow"
        )
    # Both come from one product; a cap or a scale may be rounded to bfloat16 three times between.
    near = 2**-6 * float(own.abs().max())
    if own.shape != ours.shape or not torch.allclose(own, ours, rtol=0, atol=near):
        raise UnsupportedModelError(
            f"{model.config.model_type} does something to its logits that a healing does not know"
        )
