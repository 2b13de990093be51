"""Zero-cost proxies: numbers of an untrained network that may predict how well it will learn."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..errors import RunError

if TYPE_CHECKING:
    from jaxtyping import Float32
    from torch import Tensor, nn

BATCH = 64  # photos that NASWOT looks at


def synflow(net: nn.Module, photos: Float32[Tensor, "photos 3 side side"]) -> float:
    """log of the sum over parameters of |θ ∂R/∂θ|, R the sum of the logits of an image of ones.

    Parameters are replaced by their absolute values and normalisation is left out, in double
    precision. No data matter: only the shape of the photos is used.

    Args:
        net: Network, which is not changed.
        photos: Inputs of the network.

    Raises:
        RunError: It is no finite number.

    Source: Tanaka et al. 2020, arXiv 2006.05467; as a score of whole networks without batch
        normalisation, Abdelfattah et al. 2021, arXiv 2101.08134.
    """
    import torch

    bare = copy.deepcopy(net).double().eval()
    for name, module in list(bare.named_modules()):
        if isinstance(module, torch.nn.BatchNorm2d):
            bare.set_submodule(name, torch.nn.Identity())
    with torch.no_grad():
        for parameter in bare.parameters():
            parameter.abs_()
    ones = torch.ones(1, *photos.shape[1:], dtype=torch.float64, device=photos.device)
    total = bare(ones).sum()
    parameters = [p for p in bare.parameters() if p.requires_grad]
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    pairs = zip(parameters, gradients, strict=True)
    flow = sum(float((p.detach() * g).abs().sum()) for p, g in pairs if g is not None)
    return _finite("SynFlow", math.log(flow) if 0 < flow < math.inf else math.nan)


def naswot(net: nn.Module, photos: Float32[Tensor, "photos 3 side side"]) -> float:
    """log |det K|: K counts, of each pair of photos, the units that are on or off for both alike.

    A unit is on where the input of its activation is above 0, as in the paper for ReLU; for smooth
    activations nothing comes nearer. Normalisation uses the statistics of these photos.

    Args:
        net: Network with modules as activations, which is not changed.
        photos: Inputs; two of the same make the determinant 0.

    Raises:
        RunError: It is no finite number, or the network has no activation that is known.

    Source: Mellor et al. 2021, arXiv 2006.04647, section 3.
    """
    import torch

    bare = copy.deepcopy(net).train()
    kernel = torch.zeros(len(photos), len(photos), dtype=torch.float64, device=photos.device)

    def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        on = (inputs[0] > 0).flatten(1).float()
        kernel.add_((on @ on.T + (1 - on) @ (1 - on).T).double())

    kinds = (torch.nn.ReLU, torch.nn.ReLU6, torch.nn.SiLU, torch.nn.Hardswish, torch.nn.GELU)
    activations = [module for module in bare.modules() if isinstance(module, kinds)]
    if not activations:
        raise RunError("NASWOT looks at activations, and the network has no module of one")
    for module in activations:
        module.register_forward_pre_hook(add)
    with torch.no_grad():
        bare(photos)
    return _finite("NASWOT", float(torch.linalg.slogdet(kernel).logabsdet))


def parameters(net: nn.Module, photos: Tensor) -> float:
    """log of the number of parameters: the control, which any proxy must beat."""
    return math.log(sum(p.numel() for p in net.parameters()))


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise RunError(f"{name} is no finite number for this network")
    return value


PROXIES: dict[str, Callable[[Any, Any], float]] = {
    "synflow": synflow,
    "naswot": naswot,
    "parameters": parameters,
}
CONTROL = "parameters"
