"""Time of one image through a network, on the device at hand."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ..errors import TargetError
from ..stats import Estimate, median_with_error

if TYPE_CHECKING:
    import torch

    from .family import Family
    from .multipliers import Multipliers

WARM_UPS = 3
MEASURING_SEC = 0.6  # at least so long, and so often
PASSES = 15


def latency_sec(
    family: Family, scale: Multipliers, *, classes: int, device: str = "cpu"
) -> Estimate:
    """Median seconds of one image (batch 1, float32, evaluation mode), with its standard error.

    Takes about a second, or 18 passes if they are longer. Other work on the machine counts in: a
    network that is timed twice may differ by more than the standard error.

    Raises:
        TargetError: The device is none that torch has here, or the scale is out of range.
    """
    import torch

    target = torch_device(device)
    with torch.random.fork_rng(devices=[]), torch.inference_mode():
        model = family.build(scale, classes=classes).eval().to(target)
        side = family.resolution(scale)
        image = torch.zeros(1, 3, side, side, device=target)
        for _ in range(WARM_UPS):
            model(image)
        seconds: list[float] = []
        while len(seconds) < PASSES or sum(seconds) < MEASURING_SEC:
            _wait(target)
            begun = time.perf_counter()
            model(image)
            _wait(target)
            seconds.append(time.perf_counter() - begun)
    return median_with_error(seconds)


def torch_device(name: str) -> torch.device:
    """The device of this name.

    Raises:
        TargetError: torch has none of this name here.
    """
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise TargetError(f"the device {name!r} cannot be used: {reason}") from error
    return device


def _wait(device: torch.device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)
