"""Logits in float32 from weights of any dtype, to compare models whose logits are much alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from .layer_calls import patched_forward
from .moments import bfloat16_products, float32_products

if TYPE_CHECKING:
    from torch import Tensor

_WORDS = 16_384  # of the vocabulary projected at once, where its weights must be made float32


@contextmanager
def exact_projection(model: Any) -> Iterator[None]:
    """Logits in float32 also where the weights are not: rounded ones would differ by themselves."""
    import torch

    head: Any = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or head.weight.dtype == torch.float32:
        yield
        return
    weight, bias = head.weight, head.bias
    product, exact = torch.nn.functional.linear, weight.dtype == torch.bfloat16

    def forward(hidden: Tensor) -> Tensor:
        with bfloat16_products() if exact else float32_products():
            rows = hidden.float()
            parts = [product(rows, part.float()) for part in torch.split(weight, _WORDS)]
        logits = torch.cat(parts, dim=-1)
        return logits if bias is None else logits + bias.float()

    with patched_forward([head], [forward]):
        yield
