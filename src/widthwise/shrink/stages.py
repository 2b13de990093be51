"""The stages of a shrink that are done, as lines of a file, and where they put what they make."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from operator import attrgetter

from ..io import from_json
from ..prune import PruneSpec
from ..runs import STAGES, RecordFormat

CUT, MODEL, SPEED = "cut", "model", "speed"  # folders of checkpoints, and of times
DENSE_FILE = "dense.gguf"  # the model without a cut, while files are timed
DECODED = "decoded"  # the numbers of the GGUF file, while they are asked
DENSE_DECODED = "dense-decoded"  # those of the same file without a cut
Stage = tuple[str, Callable[[], str | None]]  # its name, and what does it: gives a reason or None


def evaluation_place(when: str) -> str:
    """Where the answers of one time of asking are: `"before"`, `"after"`, or of a trial `"15"`."""
    return f"evaluations/{when}"


def share_of(spec: PruneSpec) -> str:
    """The share that a cut removes, as a name: `"15"`."""
    return spec.target.text.removesuffix("%")


def trial_file(share: str) -> str:
    """The GGUF file of a cut that is only timed: of `"15"`, in per cent of the neurons."""
    return f"cut-{share}.gguf"


ITEMS_BEFORE, ITEMS_AFTER = evaluation_place("before"), evaluation_place("after")


@dataclass(frozen=True, kw_only=True)
class FinishedStage:
    """A stage that is done, and how long it took.

    Attributes:
        name: Its name: `"before"`, `"try 5%"` and the like, `"speeds"`, `"speeds-between"`,
            `"cut"`, `"trial"` (of the GGUF file), `"speed"`, `"heal"`, `"model"`, `"after"` or
            `"gguf"`.
        seconds: Time on the clock, in the process that ended it.
        reason: Why it did nothing; None where it did something.
    """

    name: str
    seconds: float
    reason: str | None = None


def _line(stage: FinishedStage) -> str:
    return json.dumps(asdict(stage))


def _stage(line: str) -> FinishedStage:
    stage: FinishedStage = from_json(FinishedStage, line, "stage")
    return stage


FORMAT = RecordFormat(
    file=STAGES,
    what="shrink",
    key=attrgetter("name"),
    to_json=_line,
    from_json=_stage,
)
