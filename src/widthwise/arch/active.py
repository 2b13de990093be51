"""Which share of a mixture of experts one token passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction

from ..errors import UnsupportedModelError
from .architecture import Architecture
from .sections import text_value

# Settings that state how many experts a token passes.
EXPERTS_PER_TOKEN = (
    *("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_top_k", "moe_k"),
    "top_k_experts",
)


def experts_per_token(architecture: Architecture) -> int | None:
    """To how many experts of a layer one token is sent; None of a model without experts.

    Raises:
        UnsupportedModelError: The config does not say it.
    """
    experts = _experts(architecture)
    if not experts:
        return None
    stated = (text_value(architecture.config, key) for key in EXPERTS_PER_TOKEN)
    least = min(experts.values())
    active = next((each for each in stated if type(each) is int and 0 < each <= least), None)
    if active is None:
        raise UnsupportedModelError(
            f"config.json must say to how many experts a token is sent ({EXPERTS_PER_TOKEN[0]})"
        )
    return active


def active_shares(architecture: Architecture) -> dict[int, Fraction]:
    """For each layer with experts the share of them to which one token is sent.

    Raises:
        UnsupportedModelError: As `experts_per_token`.
    """
    active = experts_per_token(architecture) or 0
    return {layer: Fraction(active, count) for layer, count in _experts(architecture).items()}


def _experts(architecture: Architecture) -> Counter[int]:
    """For each layer with experts their number."""
    return Counter(group.layer for group in architecture.groups if group.expert is not None)


def share_of(architecture: Architecture, name: str, shares: Mapping[int, Fraction]) -> Fraction:
    """Share of a tensor that one token passes: 1 but for routed experts."""
    cut = architecture.cuts.get(name)
    group = None if cut is None else architecture.groups[cut.group]
    if group is None or group.expert is None:
        return Fraction(1)
    return shares[group.layer]


def idle_parameters(architecture: Architecture, widths: tuple[int, ...]) -> int:
    """Parameters of the experts that a token does not pass."""
    shares = active_shares(architecture)
    idle = (
        architecture.cut_spec(name, widths).numel * (1 - share_of(architecture, name, shares))
        for name in (architecture.cuts if shares else ())
    )
    return int(sum(idle))
