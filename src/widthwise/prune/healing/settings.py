"""What a healing is asked for: how to train, and everything else but its two models."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypedDict

from ...errors import RunError
from ..opened_model import has_bfloat16

TOKENS = 1_000_000
RATE, LORA_RATE = 1e-4, 1e-3  # where the search for a rate begins
_READ_A_MINUTE = {"cpu": 60_000, "cuda": 2_000_000}  # tokens: more than are trained on meanwhile
WARM_UP_STEPS, WARM_UP_PART = 10, 5  # most steps; of the steps of a short run, one in so many
LAST_RATE = 0.05  # share of the highest learning rate
CLIP = 1.0


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _is_up_to(most: int) -> Callable[[Any], bool]:
    return lambda n: n is None or (type(n) is int and 0 < n <= most)


_MOST = {"tokens": 10**12, "batch_tokens": 10**9, "micro_tokens": 10**9, "lora": 65_536}
_MOST_MINUTES = 5_256_000  # ten years
_COLDEST, _HOTTEST = 0.01, 100.0  # beyond, one side of the loss is a constant or not finite
_MUST_BE: dict[str, tuple[str, Callable[[Any], bool]]] = {
    **{
        name: (f"a whole number from 1 to {most:,}", _is_up_to(most))
        for name, most in _MOST.items()
    },
    "minutes": (
        f"a number above 0, at most {_MOST_MINUTES:,}",
        lambda n: n is None or (_is_number(n) and 0 < n <= _MOST_MINUTES),
    ),
    "learning_rate": ("a number above 0", lambda n: n is None or (_is_number(n) and n > 0)),
    "hidden": ("0 or above", lambda n: _is_number(n) and n >= 0),
    "temperature": (
        f"from {_COLDEST} to {_HOTTEST}",
        lambda n: _is_number(n) and _COLDEST <= n <= _HOTTEST,
    ),
    "seed": ("a whole number from 0", lambda n: type(n) is int and n >= 0),
}


@dataclass(frozen=True, kw_only=True)
class HealSettings:
    """How a pruned model is trained to be like its parent.

    Attributes:
        tokens: Tokens to train on, a text that has fewer gone through again; None where `minutes`
            alone decides, and 1,000,000 where neither is given.
        minutes: Most minutes on the clock, loading and the last measurement included.
        temperature: T of the loss.
        hidden: Weight of the hidden-state term; 0 leaves it out.
        learning_rate: The highest; None for one that a short test on the model itself finds.
        mup_factors: Whether each weight's learning rate is multiplied by its factor in muP, the cut
            being a change of width: that of down_proj by dense width over width, layer by layer.
        batch_tokens: Tokens that one step is made of.
        micro_tokens: Tokens run at once, of which a step adds up as many as it needs; None for
            2,048, on a GPU 16,384. Fewer take less memory, and change the result by rounding only.
        lora: Rank of low-rank updates to train instead of the weights; None trains all weights.
        seed: Of the order of the text, and of the first low-rank updates.

    Raises:
        RunError: A value is out of its range, or `mup_factors` go with `lora`.
    """

    tokens: int | None = None
    minutes: float | None = None
    temperature: float = 1.0
    hidden: float = 0.0
    learning_rate: float | None = None
    mup_factors: bool = False
    batch_tokens: int = 2048
    micro_tokens: int | None = None
    lora: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (wanted, holds) in _MUST_BE.items():
            if not holds(value := getattr(self, name)):
                raise RunError(f"{name} of a healing must be {wanted}; got {value!r:.40}")
        if self.mup_factors and self.lora is not None:
            raise RunError(
                "mup_factors of a healing cannot be combined with lora, which does not train "
                "whole weights; use one of them"
            )

    def to_read(self, device: str) -> int:
        """Tokens of text worth reading, for a kind of device."""
        if self.most_tokens is not None:
            return self.most_tokens
        pace = _READ_A_MINUTE["cpu" if device == "cpu" else "cuda"]
        return max(1, int((self.minutes or 0) * pace))

    @property
    def first_rate(self) -> float:
        """The learning rate that is asked for, or the first that the test of rates tries."""
        if self.learning_rate is not None:
            return self.learning_rate
        return RATE if self.lora is None else LORA_RATE

    def at_once(self, device: str) -> int:
        """Tokens run at once on a kind of device."""
        return self.micro_tokens or (2048 if device == "cpu" else 16_384)

    @property
    def most_tokens(self) -> int | None:
        """Tokens to train on; None where minutes alone decide."""
        return TOKENS if self.tokens is None and self.minutes is None else self.tokens


def rate_at(share: float, highest: float, warmed: float = 1.0) -> float:
    """Learning rate at a share of the way: a cosine from the highest down to a twentieth of it.

    Args:
        share: Share of the tokens or of the minutes, from 0; above 1 it counts as 1.
        highest: The highest rate.
        warmed: Share of the warm-up that is behind; the rate is multiplied by it.

    >>> [round(rate_at(share, 1.0), 3) for share in (0.0, 0.5, 1.0)]
    [1.0, 0.525, 0.05]
    """
    cosine = (1 + math.cos(math.pi * min(1.0, share))) / 2
    return highest * min(1.0, warmed) * (LAST_RATE + (1 - LAST_RATE) * cosine)


class HealOptions(TypedDict, total=False):
    """Keyword arguments of `heal` that `HealingRequest` takes as they are."""

    text: str | Path | None
    device: str | None
    dtype: str | None
    force: bool
    command: str | None
    status: Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class HealingRequest:
    """One call of `heal`.

    Attributes:
        out: Folder to make.
        settings: How to train.
        start: When the call began, by `time.monotonic`.
        text: As for `calibrate`, but no batches: a file, a folder or a data set of the hub; None
            for the embedded text. About every sixteenth block is held out.
        device: `"cpu"`, `"cuda"` ...; None for CUDA where there is one.
        dtype: Dtype that both models compute in, `"bfloat16"` or `"float32"`; None for bfloat16
            where the device has units for it. Weights are trained in float32.
        force: Whether `out` is replaced if it exists.
        command: Command line to quote in the model card.
        status: Function that is called with what is being done.
    """

    out: Path
    settings: HealSettings
    start: float
    text: str | Path | None = None
    device: str | None = None
    dtype: str | None = None
    force: bool = False
    command: str | None = None
    status: Callable[[str], None] = lambda _: None

    @cached_property
    def place(self) -> str:
        """The device, CUDA where there is one and none is named."""
        import torch

        return self.device or ("cuda" if torch.cuda.is_available() else "cpu")

    @property
    def kind_of_device(self) -> str:
        """`"cpu"` or `"cuda"`, without a number."""
        return self.place.partition(":")[0]

    @property
    def compute_dtype(self) -> str:
        """`"bfloat16"` where the device has units for it, unless asked otherwise."""
        return self.dtype or ("bfloat16" if has_bfloat16(self.kind_of_device) else "float32")


def require_peft() -> None:
    """Raise RunError unless the package of low-rank updates can be imported."""
    if find_spec("peft") is None:
        raise RunError("--lora needs another package; pip install 'widthwise[lora]'")
