"""What a search for small networks says: multipliers, proxies, and the formula beside others."""

from .beside import Beside, lead_of
from .multipliers import Multiplier, multipliers_of
from .proxies import Foretold, foretold_of
from .whole import TinyFindings, tiny_findings

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
