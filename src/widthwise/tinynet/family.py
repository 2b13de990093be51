"""What a family of networks must offer to be scaled: the one interface of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from ..errors import TargetError
from .rounding import round_resolution

if TYPE_CHECKING:
    from torch import nn

    from .counts import NetworkCounts
    from .multipliers import Multipliers


class Family(Protocol):
    """Networks for images that differ in resolution, depth and width alone.

    Attributes:
        name: As the command line spells it.
        base_resolution: Side of the base's square images, in pixels.
        stride: Total stride of the network, which is the smallest side an image may have.
    """

    @property
    def name(self) -> str: ...

    @property
    def base_resolution(self) -> int: ...

    @property
    def stride(self) -> int: ...

    def resolution(self, scale: Multipliers) -> int:
        """Side of the images in pixels.

        Raises:
            TargetError: It would be below the total stride.
        """
        ...

    def counts(self, scale: Multipliers, *, classes: int) -> NetworkCounts:
        """Exact counts, by closed form: tens of microseconds, without torch.

        Parameters and multiply-adds never fall when one multiplier grows; `solve_width` rests on
        it.

        Raises:
            TargetError: As `resolution`, or `classes` is below 1.
        """
        ...

    def build(self, scale: Multipliers, *, classes: int) -> nn.Module:
        """The network, newly initialised by torch's global generator, in training mode.

        It takes float32 images of shape (batch, 3, resolution, resolution) and gives logits of
        shape (batch, classes).

        Raises:
            TargetError: As `counts`.
        """
        ...


def side(base_resolution: int, scale: Multipliers, stride: int) -> int:
    """Side of the images of a family with this base and total stride, in pixels.

    Raises:
        TargetError: It is below the total stride.
    """
    pixels = round_resolution(base_resolution, scale.resolution)
    if pixels < stride:
        raise TargetError(
            f"resolution {scale.resolution:g} gives images of {pixels} px, below the network's "
            f"total stride of {stride}; the resolution must be at least "
            f"{stride / base_resolution:.4g}"
        )
    return pixels


def check_classes(classes: int) -> None:
    """Raise TargetError unless `classes` is in [1, 1,000,000]."""
    if not 1 <= classes <= 10**6:
        raise TargetError(f"classes must be in [1, 1000000]; got {classes}")
