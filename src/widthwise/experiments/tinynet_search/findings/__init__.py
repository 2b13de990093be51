"""What a search for small networks says: multipliers, proxies, and the formula beside others."""

from .build import TinyFindings, tiny_findings
from .comparisons import AccuracyDifference, accuracy_difference
from .multipliers import Multiplier, multipliers_of
from .proxies import ProxyCorrelation, proxy_correlation

__all__ = [
    "AccuracyDifference",
    "Multiplier",
    "ProxyCorrelation",
    "TinyFindings",
    "accuracy_difference",
    "multipliers_of",
    "proxy_correlation",
    "tiny_findings",
]
