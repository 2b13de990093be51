"""Moments of activations by hooks in passes of a whole model: what layers run alone must give."""

from __future__ import annotations

from typing import Any

import torch

from widthwise.arch import Architecture
from widthwise.cut import ModelWeights, owner_of


def whole_moments(
    model: Any, batches: list[dict[str, Any]], architecture: Architecture | None = None
) -> list[torch.Tensor]:
    """Sums of h h^T in float64 of every block, padding left out.

    Args:
        model: The model, as it is.
        batches: What it is called with, padded or not; of an encoder and a decoder both parts.
        architecture: Of the dense model, where layers are cut.
    """
    groups = (architecture or ModelWeights(model).architecture).groups
    totals: list[Any] = [0.0] * len(groups)
    kept: dict[str, torch.Tensor] = {}

    def hook(index: int, part: str) -> Any:
        def add(_: Any, arguments: Any) -> None:
            rows = arguments[0].detach().flatten(0, -2).double()[kept[part].bool().flatten()]
            totals[index] = totals[index] + rows.T @ rows

        return add

    handles = [
        owner_of(model, group.down)[0].register_forward_pre_hook(
            hook(index, "decoder_" if "decoder" in group.name else "")
        )
        for index, group in enumerate(groups)
    ]
    with torch.no_grad():
        for batch in batches:
            for part in ("", "decoder_"):
                if (ids := batch.get(f"{part}input_ids")) is not None:
                    kept[part] = batch.get(f"{part}attention_mask", torch.ones_like(ids))
            model(**batch)
    for handle in handles:
        handle.remove()
    return totals


def assert_close(got: torch.Tensor, expected: torch.Tensor) -> None:
    """float32 sums of 500 products err by 1e-7 of the norm.

    Padding that counts would add a fifth, and arguments of another batch err by a third.
    """
    assert float((got.double() - expected).norm() / expected.norm()) < 1e-5
