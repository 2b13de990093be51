"""The published tables as records, with the intervals and floors that they came without."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ...study import Record

SOURCE = "arXiv 2512.22671"
CRITERION = "ppm"  # named MAW in versions 1 and 2 of the paper
MODELS = {name: f"Llama-3.2-{name}" for name in ("1B", "3B", "1B-Instruct")}
WRONG_UNIT = 0.34923  # of CO2 in kg, stored as kWh: kg for each kWh of the grid that was assumed
_GIB = 2**30  # bytes of what is called a GB there
_COSTS = {  # name there, unit and direction here
    "throughput": ("all3_throughput", "tokens_per_sec", True),
    "net_joules": ("all3_joules_per_token", "joules_per_token", False),
}


@cache
def rows_of(name: str) -> tuple[Mapping[str, str], ...]:
    """The rows of one of the three files, as they stand."""
    text = (files(__package__) / f"{name}.csv").read_text(encoding="utf8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def costs() -> Mapping[tuple[str, str, int, str], float]:
    """By model, workload, per cent removed and metric, in the units of the repository."""
    return {
        (row["model"], row["workload"], int(row["pruning_pct"]), row["metric"]): float(row["value"])
        for row in rows_of("efficiency")
        if row["value"] not in ("", "nan")
    }


@cache
def records() -> tuple[Record, ...]:
    """Scores, sizes, tokens a second and net joules a token of the three models.

    A share of n right answers has the error √(p (1 - p) / n), which is also the most that scores
    between 0 and 1 can have; perplexities have no known error. Of costs it is s / √3 of three runs
    with different prompts. Joules are corrected for their wrong unit.
    """
    return tuple(
        record
        for name, percent in sorted(_scores(), key=lambda key: (list(MODELS).index(key[0]), key[1]))
        for record in (*_scores_of(name, percent), *_costs_of(name, percent))
    )


@cache
def _scores() -> Mapping[tuple[str, int], Mapping[tuple[str, str], float]]:
    """By model and per cent removed, then by task and metric."""
    scores: dict[tuple[str, int], dict[tuple[str, str], float]] = {}
    for row in rows_of("capability"):
        place = scores.setdefault((row["model"], int(row["pruning_pct"])), {})
        place[row["task"], row["metric"]] = float(row["value"])
    return scores


@cache
def _widths() -> Mapping[tuple[str, int], tuple[int, float]]:
    """Width and expansion ratio by model and per cent removed."""
    return {
        (row["model"], int(row["pruning_pct"])): (
            int(row["intermediate_size"]),
            float(row["expansion_ratio"]),
        )
        for row in rows_of("capability")
    }


def _scores_of(model: str, percent: int) -> Iterable[Record]:
    scores = _scores()[model, percent]
    for task in rows_of("tasks"):
        value = scores.get((task["task"], task["metric"]))
        if value is None:
            continue
        n, is_share = int(task["items"]), task["unit"] == "accuracy"
        yield _record(
            (model, percent),
            task["task"],
            task["unit"],
            value,
            standard_error=(value * (1 - value) / n) ** 0.5 if is_share else None,
            n=n,
            floor=float(task["floor"]) if task["floor"] else None,
            floor_kind=task["floor_kind"] or None,
            higher_is_better=is_share,
            settings={"metric": task["metric"], "source": SOURCE, "floor": task["floor_source"]},
        )


def _costs_of(model: str, percent: int) -> Iterable[Record]:
    at = (model, percent)
    paid = {(work, name): v for (m, work, p, name), v in costs().items() if (m, p) == at}
    workloads = list(dict.fromkeys(workload for workload, _ in paid))
    for workload in workloads[:1]:  # a size is the same on all of them
        size = paid[workload, "reported_model_size_gb"] * _GIB
        yield _record(at, "bytes", "bytes", float(round(size)), n=1, settings={"source": SOURCE})
    for workload in workloads:
        for cost, (name, unit, higher_is_better) in _COSTS.items():
            mean, sd, n = (paid[workload, f"{name}_{end}"] for end in ("mean", "sd", "n"))
            scale = WRONG_UNIT if cost == "net_joules" else 1.0
            yield _record(
                at,
                f"{short(workload)} {cost}",
                unit,
                mean / scale,
                standard_error=sd / scale / n**0.5,
                n=int(n),
                higher_is_better=higher_is_better,
                settings={"source": SOURCE, "workload": short(workload)},
            )


def _record(at: tuple[str, int], quantity: str, unit: str, value: float, **rest: Any) -> Record:
    model, percent = at
    dense_width, dense_ratio = _widths()[model, 0]  # the ratio is rounded, the hidden size not
    width = _widths()[at][0]
    return Record(
        cell=f"{SOURCE} {model} {percent} {quantity}",
        model=MODELS[model],
        criterion=CRITERION if percent else None,
        asked=f"{percent}%" if percent else "dense",
        width=width,
        expansion_ratio=width / round(dense_width / dense_ratio),
        quantity=quantity,
        unit=unit,
        value=value,
        **rest,
    )


def short(workload: str) -> str:
    """`hellaswag_latency_b1` as `hellaswag b1`."""
    task, _, batch = workload.split("_")
    return f"{task} {batch}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim.

    Attributes:
        claim: What is said.
        value: Its number, computed from the tables.
        beside: What floors and intervals make of it.
    """

    claim: str
    value: str
    beside: str


def change(ratio: float) -> str:
    """A ratio as `+46 %`."""
    return f"{100 * (ratio - 1):+.0f} %"
