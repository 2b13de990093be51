"""A family of networks that can be scaled: the one interface of this room."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import TargetError
from .counts import NetworkCounts, Tally
from .multipliers import Multipliers, round_resolution

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Family(ABC):
    """Networks for images that differ in resolution, depth and width alone.

    Attributes:
        name: Name on the command line.
        base_resolution: Side of the base's square images, in pixels.
    """

    name: str
    base_resolution: int = 224

    @property
    @abstractmethod
    def stride(self) -> int:
        """Total stride of the network, which is the smallest side an image may have."""

    @abstractmethod
    def tally(self, scale: Multipliers, *, classes: int) -> Tally:
        """All layers of the network, counted without torch in about 0.1 ms.

        Parameters and multiply-adds never fall when one multiplier grows; `solve_width` rests on
        it.
        """

    @abstractmethod
    def module(self, scale: Multipliers, *, classes: int) -> nn.Module:
        """The network, newly initialised by torch's global generator, in training mode."""

    def resolution(self, scale: Multipliers) -> int:
        """Side of the images in pixels.

        Raises:
            TargetError: It would be below the total stride.
        """
        pixels = round_resolution(self.base_resolution, scale.resolution)
        if pixels < self.stride:
            raise TargetError(
                f"resolution {scale.resolution:g} gives images of {pixels} px, below the network's "
                f"total stride of {self.stride}; the resolution must be at least "
                f"{self.stride / self.base_resolution:.4g}"
            )
        return pixels

    def counts(self, scale: Multipliers, *, classes: int) -> NetworkCounts:
        """Exact counts of a network.

        Raises:
            TargetError: The images are too small, or `classes` is not in [1, 1,000,000].
        """
        _check_classes(classes)
        return self.tally(scale, classes=classes).counts()

    def build(self, scale: Multipliers, *, classes: int) -> nn.Module:
        """The network in training mode, with new weights from torch's global generator.

        It takes float32 images of shape (batch, 3, resolution, resolution) and gives logits of
        shape (batch, classes).

        Raises:
            TargetError: The images are too small, or `classes` is not in [1, 1,000,000].
        """
        _check_classes(classes)
        self.resolution(scale)
        return self.module(scale, classes=classes)


def _check_classes(classes: int) -> None:
    if not 1 <= classes <= 10**6:
        raise TargetError(f"classes must be in [1, 1000000]; got {classes}")
