"""How many times as fast a narrow model is, as it was measured beside the dense one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..stats import Estimate, estimate_text, paired_ratio
from ..study import Quantity, Record

WHOLE = "throughput"
_TIMES = {
    "ttft": "reading a prompt",
    "tpot": "writing a token",
    WHOLE: "reading and writing together",
}


@dataclass(frozen=True, kw_only=True)
class SpeedRatio:
    """How many times as fast as dense the narrow model does one thing.

    Attributes:
        metric: What was timed: `"ttft"`, `"tpot"`, or `"throughput"`, which is reading and writing
            by the tokens that are written.
        dense: Median seconds of the model without a cut.
        narrow: The same of the narrow one.
        ratio: The first over the second, within rounds.
    """

    metric: str
    dense: float
    narrow: float
    ratio: Estimate

    @property
    def what(self) -> str:
        """What was timed, for people."""
        return _TIMES[self.metric]

    def is_shown(self, times: float = 1.0) -> bool:
        """Whether the interval says that it is more than so many times as fast."""
        return self.ratio.interval()[0] > times

    def __str__(self) -> str:
        return f"{self.what} is {estimate_text(self.ratio)} times as fast"


def speed_ratios(dense: Sequence[Record], narrow: Sequence[Record]) -> Iterator[SpeedRatio]:
    """What was timed of both models, in the same rounds."""
    for metric in _TIMES:
        before, after = _timed(dense, metric), _timed(narrow, metric)
        if before is None or after is None:
            continue
        firsts, seconds = _seconds(before), _seconds(after)
        yield SpeedRatio(
            metric=metric,
            dense=_value(before),
            narrow=_value(after),
            ratio=paired_ratio(firsts, seconds),
        )


def _timed(records: Sequence[Record], metric: str) -> Record | None:
    """The record of a metric, if it was measured."""
    found = (r for r in records if Quantity.parse(r.quantity).metric == metric and r.items)
    return next(found, None)


def _seconds(record: Record) -> list[float]:
    """Seconds of each round; of tokens a second those of a token."""
    return [1 / item if record.higher_is_better else item for item in record.items]


def _value(record: Record) -> float:
    assert record.value is not None
    return 1 / record.value if record.higher_is_better else record.value
