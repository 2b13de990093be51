"""The oracle of a refit: its closed form by numpy in float64, and what the output loses."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch


def closed_form(moment: Any, weight: Any, kept: Any, lam: float) -> torch.Tensor:
    """V = (H_SS + lam I)^-1 (H_S: W + lam W_S), lam as a share of the mean of the diagonal of H."""
    h, w, s = (np.asarray(each) for each in (moment.double(), weight.double(), kept))
    ridge = lam * float(moment.double().diagonal().mean())
    left = h[np.ix_(s, s)] + ridge * np.eye(len(s))
    return torch.from_numpy(np.linalg.solve(left, h[s] @ w + ridge * w[s]))


def output_loss(moment: Any, weight: Any, kept: Any, values: Any) -> float:
    """tr[(W - E V)^T H (W - E V)], in float64."""
    lost = weight.double().clone()
    lost[kept] -= values.double()
    return float(((moment.double() @ lost) * lost).sum())


def relative_error(moment: Any, weight: Any, kept: Any, values: Any) -> float:
    """Mean squared error of the output, over that of the output itself: 0 none, 1 as if cut off."""
    nothing = torch.zeros(0, weight.shape[1])
    return output_loss(moment, weight, kept, values) / output_loss(moment, weight, [], nothing)
