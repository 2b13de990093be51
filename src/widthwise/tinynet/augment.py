"""Photos as inputs of a network: cropped, flipped and coloured at random, or whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import RunError

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8
    from torch import Generator, Tensor

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's channels
CROP_MARGIN = 1.25  # side that crops are taken from, over the side of the input
_GREY = (0.299, 0.587, 0.114)  # luma of ITU-R BT.601
_RESIZE_BATCH = 256  # photos that are resized at a time


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Random changes of a photo each time that it is shown in training.

    The paper's, with milder cuts and colours: its own are for 450 epochs of a million photos.

    Attributes:
        area: Least and largest share of the photo in a crop.
        ratio: Least and largest width of a crop over its height.
        flip: Chance of left and right being exchanged.
        jitter: Brightness, contrast and saturation are each multiplied by 1 - jitter to 1 + jitter.

    Source: Han et al. 2020, arXiv 2010.14819; its released scripts cut 8 to 100 %, jitter 0.4.
    """

    area: tuple[float, float] = (0.4, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    jitter: float = 0.2

    def __post_init__(self) -> None:
        (least, most), (thin, flat) = self.area, self.ratio
        if not (0 < least <= most <= 1 and 0 < thin <= flat):
            raise RunError(f"cuts must have 0 < least <= most <= 1; got {self.area}, {self.ratio}")
        if not (0 <= self.flip <= 1 and 0 <= self.jitter < 1):
            raise RunError(f"flip and jitter must be shares; got {self.flip} and {self.jitter}")


def resized(
    pixels: UInt8[Tensor, "photos 3 height width"], side: int
) -> UInt8[Tensor, "photos 3 {side} {side}"]:
    """The photos at another side in pixels, smoothed first so that nothing aliases."""
    import torch
    from torch.nn.functional import interpolate

    if tuple(pixels.shape[-2:]) == (side, side):
        return pixels
    parts = [
        interpolate(part.float(), (side, side), mode="bilinear", antialias=True).round().byte()
        for part in torch.split(pixels, _RESIZE_BATCH)
    ]
    return torch.cat(parts)


def normalize(
    pixels: UInt8[Tensor, "photos 3 height width"],
) -> Float32[Tensor, "photos 3 height width"]:
    """Bytes as inputs of a network: each channel less ImageNet's mean, over its deviation."""
    return _normalized(pixels.float() / 255)


def augmented(
    pixels: UInt8[Tensor, "photos 3 height width"],
    side: int,
    augmentation: Augmentation,
    generator: Generator,
) -> Float32[Tensor, "photos 3 {side} {side}"]:
    """Each photo of a batch with its own crop, flip and colours, as inputs of a network.

    Args:
        pixels: Photos, best some `CROP_MARGIN` times `side`, as crops are read by linear
            interpolation.
        side: Side of the inputs, in pixels.
        augmentation: Random changes.
        generator: Generator on the CPU; the draws depend on the number of photos alone.
    """
    from torch.nn.functional import affine_grid, grid_sample

    maps = _crop_maps(len(pixels), augmentation, generator).to(pixels.device)
    grid = affine_grid(maps, [len(pixels), 3, side, side], align_corners=False)
    crops = grid_sample(
        pixels.float() / 255, grid, mode="bilinear", padding_mode="reflection", align_corners=False
    )
    return _normalized(_coloured(crops, augmentation.jitter, generator))


def _crop_maps(
    n: int, augmentation: Augmentation, generator: Generator
) -> Float32[Tensor, "{n} 2 3"]:
    """Affine maps from inputs to photos, one a crop."""
    import torch

    draws = torch.rand(5, n, generator=generator)
    least, most = augmentation.area
    area = least + (most - least) * draws[0]
    thin, flat = (torch.tensor(end).log() for end in augmentation.ratio)
    ratio = torch.exp(thin + (flat - thin) * draws[1])
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    across, down = (1 - width) * (2 * draws[2] - 1), (1 - height) * (2 * draws[3] - 1)
    maps = torch.zeros(n, 2, 3)
    maps[:, 0, 0] = torch.where(draws[4] < augmentation.flip, -width, width)
    maps[:, 1, 1] = height
    maps[:, 0, 2], maps[:, 1, 2] = across, down
    return maps


def _coloured(photos: Tensor, jitter: float, generator: Generator) -> Tensor:
    """Brightness, then contrast around the mean grey, then saturation around each pixel's grey."""
    import torch

    factors = 1 + jitter * (2 * torch.rand(3, len(photos), 1, 1, 1, generator=generator) - 1)
    bright, contrast, saturation = factors.to(photos.device)
    weights = torch.tensor(_GREY, device=photos.device).view(1, 3, 1, 1)
    photos = (photos * bright).clamp(0, 1)
    mean = (photos * weights).sum(1, keepdim=True).mean((2, 3), keepdim=True)
    photos = (mean + (photos - mean) * contrast).clamp(0, 1)
    grey = (photos * weights).sum(1, keepdim=True)
    coloured: Tensor = (grey + (photos - grey) * saturation).clamp(0, 1)
    return coloured


def _normalized(photos: Tensor) -> Tensor:
    import torch

    mean = torch.tensor(MEAN, device=photos.device).view(1, 3, 1, 1)
    deviation = torch.tensor(DEVIATION, device=photos.device).view(1, 3, 1, 1)
    return (photos - mean) / deviation
