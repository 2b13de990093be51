"""The published tables of arXiv 2512.22671, and its headline claims beside floors and intervals.

Three files: `capability.csv` and `efficiency.csv` are the numbers of the paper's repository
(`peremartra/llama-glu-expansion-pruning`, commit 97f9190, `results/`; what is computed from them is
named `derived`), `tasks.csv` says which metric of each task the paper shows, how many items its
full test set has, and what a trivial answerer gets.
"""

from ..build import build_findings
from ..curves import SHARE_LOSS
from ..types import Findings
from .claims import claims
from .tables import SOURCE, records

__all__ = ["SOURCE", "claims", "published", "records"]


def published(*, loss: float = SHARE_LOSS) -> tuple[Findings, ...]:
    """The claims beside floors and intervals, then the findings of each of the three models.

    Args:
        loss: As in `build_findings`.

    Raises:
        RunError: As `build_findings`.
    """
    all_records = records()
    return claims(all_records), *build_findings(all_records, loss=loss)
