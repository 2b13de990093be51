"""How many times as fast a narrow model is, as it was measured beside the dense one."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..stats import Estimate, estimate_text, number, paired_ratio
from ..study import Quantity, Record

WHOLE = "throughput"
_GAIN = 0.05  # of speed, that somebody would notice
_PREFILL, _DECODE = "prefill", "decode"  # tokens a second, by llama.cpp's clock
_TIMES = {
    "ttft": "reading a prompt",
    "tpot": "writing a token",
    _PREFILL: "reading a prompt",
    _DECODE: "writing tokens",
    WHOLE: "reading and writing together",
}


@dataclass(frozen=True, kw_only=True)
class SpeedRatio:
    """How many times as fast as dense the narrow model does one thing.

    Attributes:
        metric: What was timed: `"ttft"` and `"tpot"`, of files by llama.cpp `"prefill"` and
            `"decode"`, and `"throughput"`, which is reading and writing by the tokens that are
            written.
        dense: Median seconds of the model without a cut; of what is counted in tokens, of one.
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

    @property
    def both(self) -> tuple[str, str]:
        """Dense and narrow as people read them, in seconds or in tokens a second."""
        if self.metric in ("ttft", "tpot"):
            return number(self.dense, "sec"), number(self.narrow, "sec")
        dense, narrow = (number(1 / sec, "tokens_per_sec") for sec in (self.dense, self.narrow))
        return f"{dense} tokens/s", f"{narrow} tokens/s"

    def is_shown(self, times: float = 1.0) -> bool:
        """Whether the interval says that it is more than so many times as fast."""
        return self.ratio.interval()[0] > times

    @property
    def is_no_gain(self) -> bool:
        """Whether the interval says that it is faster by less than a twentieth, if at all."""
        return self.ratio.interval()[1] < 1 + _GAIN

    def __str__(self) -> str:
        return f"{self.what} is {estimate_text(self.ratio)} times as fast"


def speed_ratios(dense: Sequence[Record], narrow: Sequence[Record]) -> Iterator[SpeedRatio]:
    """What was timed of both models, in the same rounds."""
    for metric in _TIMES:
        before, after = _seconds(dense, metric), _seconds(narrow, metric)
        if before and after:
            yield SpeedRatio(
                metric=metric,
                dense=statistics.median(before),
                narrow=statistics.median(after),
                ratio=paired_ratio(before, after),
            )


def _seconds(records: Sequence[Record], metric: str) -> list[float]:
    """Seconds of each round, of tokens a second those of a token; none where it was not timed."""
    found = {Quantity.parse(record.quantity).metric: record for record in records if record.items}
    if metric in found:
        record = found[metric]
        return [1 / item if record.higher_is_better else item for item in record.items]
    if metric == WHOLE and {_PREFILL, _DECODE} <= found.keys():
        read, written = found[_PREFILL], found[_DECODE]
        prompt, new = read.settings["prompt_tokens"][0], read.settings["new_tokens"]
        rounds = zip(read.items, written.items, strict=True)
        return [(prompt / prefill + new / decode) / new for prefill, decode in rounds]
    return []
