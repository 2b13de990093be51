"""What a search for small networks says: multipliers, proxies, and the formula beside others."""

from .build import TinyFindings, tiny_findings
from .comparisons import accuracy_difference
from .predictors import multiplier_predictors, proxy_predictors

__all__ = [
    "TinyFindings",
    "accuracy_difference",
    "multiplier_predictors",
    "proxy_predictors",
    "tiny_findings",
]
