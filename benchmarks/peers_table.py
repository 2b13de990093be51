"""The tables of `peers.py`: each method beside dense, and the default beside each method."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import mean, stdev
from typing import Any

from refit_targets import ratios

from widthwise.stats import t_interval

OURS = "widthwise"
Losses = dict[str, list[list[float]]]  # of each text, for each passage nats and tokens
Interval = tuple[float, float, float]  # value, low, high


def mean_losses(networks: Sequence[Losses]) -> Losses:
    """Nats of each passage, the mean over networks."""
    return {
        text: [
            [mean(nats for nats, _ in rows), rows[0][1]]
            for rows in zip(*(network[text] for network in networks), strict=True)
        ]
        for text in networks[0]
    }


def log_ratio(network: Losses, other: Losses) -> float:
    """Logarithm of the ratio of perplexities, the mean of the texts."""
    parts = []
    for text, rows in network.items():
        excess = sum(mine[0] - theirs[0] for mine, theirs in zip(rows, other[text], strict=True))
        parts.append(excess / sum(tokens for _, tokens in rows))
    return mean(parts)


def over_seeds(logs: Sequence[float]) -> Interval:
    """Student's interval of a ratio over calibration seeds; of one seed nothing is known."""
    value = mean(logs)
    error = stdev(logs) / math.sqrt(len(logs)) if len(logs) > 1 else None
    low, high = t_interval(value, error, len(logs) - 1)
    return math.exp(value), math.exp(low), math.exp(high) if high < 700 else math.inf


def verdict(passages: Interval, seeds: Interval) -> str:
    """What the intervals of the default over a method show; of one seed, what its passages do."""
    known = [passages] if math.isinf(seeds[2]) else [passages, seeds]
    further = " on one seed" if len(known) == 1 else ""
    if all(high < 1 for _, _, high in known):
        return f"ahead{further}"
    if all(low > 1 for _, low, _ in known):
        return f"behind{further}"
    return "not shown"


def tables(lines: Sequence[dict[str, Any]], methods: Sequence[str]) -> Iterator[str]:
    """Markdown: for every share that is removed, the methods from the worst to the best."""
    dense = next(line["losses"] for line in lines if line["method"] == "dense")
    for removed in sorted({line["removed"] for line in lines} - {0}):
        found = {
            method: {
                line["seed"]: line["losses"]
                for line in lines
                if (line["method"], line["removed"]) == (method, removed)
            }
            for method in methods
        }
        yield from _table(removed, {m: seeds for m, seeds in found.items() if seeds}, dense)


def _table(removed: float, found: dict[str, dict[int, Losses]], dense: Losses) -> Iterator[str]:
    yield f"**{removed:.0%} of the neurons removed**"
    yield ""
    texts = ["WikiText-2", "LAMBADA"]
    yield (
        f"| method | seeds | {' | '.join(texts)} | both, over dense [95 %] | "
        f"{OURS} / method [over passages] | [over seeds] | {OURS} is |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    whole = {name: ratios(mean_losses([*seeds.values()]), dense) for name, seeds in found.items()}
    for name in sorted(found, key=lambda each: -whole[each]["both"][0]):
        seeds, own = found[name], whole[name]
        cells = [f"`{name}`", str(len(seeds)), *(_number(own[text][0]) for text in dense)]
        cells.append(_written(own["both"]))
        cells += _beside(found.get(OURS, {}), seeds) if name != OURS else ["", "", ""]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _beside(ours: dict[int, Losses], theirs: dict[int, Losses]) -> list[str]:
    """The cells of the default over a method; one without seeds is beside every seed of ours."""
    pairs = [
        (mine, theirs[None] if None in theirs else theirs[seed])
        for seed, mine in ours.items()
        if seed in theirs or None in theirs
    ]
    if not pairs:
        return ["", "", ""]
    mine, other = (mean_losses(each) for each in zip(*pairs, strict=True))
    passages = ratios(mine, other)["both"]
    seeds = over_seeds([log_ratio(*pair) for pair in pairs])
    of_seeds = "unknown" if math.isinf(seeds[2]) else f"[{_number(seeds[1])}, {_number(seeds[2])}]"
    return [_written(passages), of_seeds, verdict(passages, seeds)]


def _number(value: float) -> str:
    return f"{value:.3f}" if value < 10 else f"{value:,.0f}"


def _written(interval: Interval) -> str:
    value, low, high = map(_number, interval)
    return f"{value} [{low}, {high}]"
