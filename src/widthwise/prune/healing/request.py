"""What a healing is asked for beside its two models."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypedDict

from ..opened_model import has_bfloat16
from .settings import HealSettings


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
