"""Claims about joules and milliseconds, beside what else the tables say."""

from __future__ import annotations

import math
from statistics import fmean

from ...stats import t_interval
from .tables import WRONG_UNIT, Claim, change, costs, short

_ALL, _REPORTED = "all3_joules_per_token", "reported_joules_per_token"
_TOKENS, _PACE = "derived_new_tokens_per_measured_prompt", "derived_ms_per_token_or_step"


def energy_of(model: str, workload: str, percent: int) -> Claim:
    """Joules a token of one workload."""
    dense, cut = (_mean(model, workload, at, _REPORTED) for at in (0, percent))
    low, high = _ratio_interval(model, workload, percent)
    return Claim(
        claim=f"{model} up to 23 % less energy: {short(workload)}, {percent} % removed",
        value=f"{dense:.3f} to {cut:.3f} J/token, {change(cut / dense)}",
        beside=(
            f"[{change(low)}, {change(high)}]; in right joules {dense / WRONG_UNIT:.3f} to "
            f"{cut / WRONG_UNIT:.3f}"
        ),
    )


def energy(model: str, percent: int) -> Claim:
    """Joules a token, mean of all workloads."""
    dense, cut = (_over_workloads(model, at, _REPORTED) for at in (0, percent))
    all_dense, all_cut = (_over_workloads(model, at, _ALL) for at in (0, percent))
    return Claim(
        claim=f"{model} energy, mean of 6 workloads, {percent} % removed",
        value=f"{dense:.4f} to {cut:.4f} J/token, {100 * (cut / dense - 1):+.1f} %",
        beside=(
            f"with all runs, none left out as an outlier: {100 * (all_cut / all_dense - 1):+.1f} "
            f"%; in right joules {all_dense / WRONG_UNIT:.3f} to {all_cut / WRONG_UNIT:.3f}"
        ),
    )


def batches(model: str) -> Claim:
    """Whether batches of 8 gain at every width."""
    workloads = [w for w in _workloads(model) if w.endswith("b8")]
    at_ten = [_mean(model, w, 10, _ALL) / _mean(model, w, 0, _ALL) for w in workloads]
    sure = sum(_ratio_interval(model, w, 10)[0] > 1 for w in workloads)
    last = [_mean(model, w, 60, _ALL) / _mean(model, w, 50, _ALL) for w in workloads]
    return Claim(
        claim=f"{model} batches gain: energy at batch 8, 10 % removed",
        value=f"{change(min(at_ten))} to {change(max(at_ten))}",
        beside=(
            f"more than dense by the interval on {sure} of {len(workloads)} workloads; 60 % "
            f"removed (an odd width) takes {change(min(last))} to {change(max(last))} of 50 % "
            "removed (a multiple of 4,096)"
        ),
    )


def latency(model: str, percent: int) -> Claim:
    """Time of whole answers at batch 1, beside how long these answers are."""
    workloads = [w for w in _workloads(model) if w.endswith("b1")]
    times = [fmean(_mean(model, w, at, "reported_ttlt") for w in workloads) for at in (0, percent)]
    tokens = [_mean(model, w, percent, _TOKENS) / _mean(model, w, 0, _TOKENS) for w in workloads]
    pace = [_mean(model, w, percent, _PACE) / _mean(model, w, 0, _PACE) for w in workloads]
    return Claim(
        claim=f"{model} latency of requests, {percent} % removed",
        value=f"{times[0]:.0f} to {times[1]:.0f} ms, {change(times[1] / times[0])}",
        beside=(
            f"times of whole answers: these are {min(tokens):.1f} to {max(tokens):.1f} times as "
            f"long, a token takes {100 * (min(pace) - 1):+.1f} % to "
            f"{100 * (max(pace) - 1):+.1f} %"
        ),
    )


def _workloads(model: str) -> list[str]:
    return list(dict.fromkeys(workload for name, workload, *_ in costs() if name == model))


def _mean(model: str, workload: str, percent: int, name: str) -> float:
    return costs()[model, workload, percent, f"{name}_mean"]


def _over_workloads(model: str, percent: int, name: str) -> float:
    return fmean(_mean(model, workload, percent, name) for workload in _workloads(model))


def _ratio_interval(model: str, workload: str, percent: int) -> tuple[float, float]:
    """95 % interval of joules beside dense, of 3 runs each, unpaired: Student's, of the logarithm.

    With 2 degrees of freedom, the fewest that there may be.
    """
    values = costs()
    squares, mean = 0.0, []
    for at in (0, percent):
        mean.append(_mean(model, workload, at, _ALL))
        sd = values[model, workload, at, f"{_ALL}_sd"]
        squares += (sd / mean[-1]) ** 2 / values[model, workload, at, f"{_ALL}_n"]
    low, high = t_interval(math.log(mean[1] / mean[0]), math.sqrt(squares), 2)
    return math.exp(low), math.exp(high)
