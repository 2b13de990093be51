"""What a search for small networks says: multipliers, proxies, and the formula beside others."""

from .build import TinyFindings, tiny_findings
from .comparisons import Beside, lead_of
from .multipliers import Multiplier, multipliers_of
from .proxies import Foretold, foretold_of

__all__ = [
    "Beside",
    "Foretold",
    "Multiplier",
    "TinyFindings",
    "foretold_of",
    "lead_of",
    "multipliers_of",
    "tiny_findings",
]
