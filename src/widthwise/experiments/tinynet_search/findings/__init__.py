"""What a search for small networks says: multipliers, proxies, and the formula beside others."""

from .build import TinyFindings, tiny_findings
from .comparisons import AccuracyDifference, accuracy_difference
from .predictors import Predictor, multiplier_predictors, proxy_predictors

__all__ = [
    "AccuracyDifference",
    "Predictor",
    "TinyFindings",
    "accuracy_difference",
    "multiplier_predictors",
    "proxy_predictors",
    "tiny_findings",
]
