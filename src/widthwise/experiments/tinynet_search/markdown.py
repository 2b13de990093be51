"""A search for small networks as a short text in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from ...findings import Table
from ...stats import (
    RankCorrelation,
    RankDifference,
    Share,
    beats_floor,
    counted,
    fixed,
    mean_with_error,
    p_text,
    percent,
    with_ends,
)
from .findings.build import TinyFindings
from .findings.comparisons import AccuracyDifference
from .findings.multipliers import claim_of
from .networks import TrainedNetwork
from .train import TEST, VALIDATION

_CLAIM = "Resolution and depth matter more than width (arXiv 2010.14819)"


def search_text(found: TinyFindings, notes: Sequence[str] = ()) -> str:
    """What a search says, in Markdown: sentences first, then the tables behind them.

    Args:
        found: The findings.
        notes: What could not be done, and why.
    """
    parts = ["# A search for small networks\n"]
    parts += [f"- {sentence}" for sentence in (*sentences_of(found), *notes)]
    for table in tables_of(found):
        rows = table.markdown() if table.rows else "Nothing: too few networks were trained."
        parts += [f"\n## {table.title}\n\n{table.about}\n", rows]
    return "\n".join(parts) + "\n"


def tables_of(found: TinyFindings) -> tuple[Table, ...]:
    """All tables, the same in Markdown and on the page."""
    return (
        _comparison_table(found),
        _network_table(found),
        _multiplier_table(found),
        _proxy_table(found),
    )


def sentences_of(found: TinyFindings) -> tuple[str, ...]:
    """The findings in words, no more than their intervals carry."""
    return (
        *trained_sentences(found),
        *judged_sentences(found),
        *(
            f"Failed: {trial.experiment}, seed {trial.seed}: {trial.reason}"
            for trial in found.failed
        ),
    )


def trained_sentences(found: TinyFindings) -> tuple[str, ...]:
    """What was trained, and how accurate it is."""
    trained = [net for net in found.drawn if net.is_trained]
    said = [
        f"{len(trained)} of {len(found.drawn)} networks drawn were trained, each with "
        f"{counted(found.seeds, 'seed')}; a training took {found.seconds:.0f} s (median)."
    ]
    if found.floor is not None and trained:
        values = [net.mean(TEST) for net in trained]
        beaten = sum(_beats(net, found.floor, len(trained)) for net in trained)
        said.append(
            f"Accuracy on the test set is {100 * min(values):.1f} to {percent(max(values))}; "
            f"the most frequent class alone gets {percent(found.floor)}, and "
            f"{counted(beaten, 'network')} {'is' if beaten == 1 else 'are'} shown to get more."
        )
    return tuple(said)


def _beats(net: TrainedNetwork, floor: float, of: int) -> bool:
    """Whether its mean over seeds is shown to be above a floor, by the chance of the photos.

    The most frequent class was counted on the same photos, so its share has an error too. As one of
    so many networks: the interval's error is shared out among them (Bonferroni).
    """
    mean = mean_with_error(net.right().mean(0))
    score = Share(value=mean.value, standard_error=mean.standard_error, n=mean.n)
    error = (floor * (1 - floor) / score.n) ** 0.5
    counted = Share(value=floor, standard_error=error, n=score.n)
    return beats_floor(score, counted, higher_is_better=True, confidence=1 - 0.05 / of)


def judged_sentences(found: TinyFindings) -> tuple[str, ...]:
    """What was asked of the search: the paper's claim, and the formula beside others."""
    return (
        f"{_CLAIM}: {claim_of(found.multipliers)}.",
        *(f"The formula beside {one.other}: {_said(one)}." for one in found.besides),
    )


def _said(one: AccuracyDifference) -> str:
    if one.value is None:
        return f"not judged, {one.reason}"
    points = f"{fixed(100 * one.value, 1, sign=True)} points"
    if one.low is None or one.high is None:
        return f"{points}, no interval: {one.reason}"
    ends = ", ".join(fixed(100 * end, 1, sign=True) for end in (one.low, one.high))
    return f"{one.verdict}, {points} [{ends}], p {p_text(one.p_value)}"


def _comparison_table(found: TinyFindings) -> Table:
    """The formula beside others."""
    return Table(
        title="The formula beside others",
        about="At the same budgets, on the test photos. Intervals hold chance of photos and seeds, "
        "and of a random network that of the draw. Other draws would have given another formula "
        "and another best network: that is in none of them.",
        header=("beside", "difference in accuracy [95 %], p (Holm)", "budgets", "of"),
        rows=tuple(
            (
                one.other,
                _said(one),
                ", ".join(f"{budget / 1e6:g}M" for budget in one.budgets),
                f"{one.photos} photos, {one.runs} runs or more",
            )
            for one in found.besides
        ),
    )


def _network_table(found: TinyFindings) -> Table:
    """Every network with its accuracies."""
    front = {id(net) for net in found.front}
    kinds = (("drawn", found.drawn), ("formula", found.formula_nets))
    return Table(
        title="Networks",
        about="Accuracies in per cent, means over seeds; with a star on the front, which the "
        "validation photos chose.",
        header=(
            *("chosen as", "multiply-adds", "parameters", "px", "r", "d", "w"),
            *("validation", "test"),
        ),
        rows=tuple(
            (kind + " *" * (id(net) in front), *_network(net))
            for kind, nets in (*kinds, ("inverse", found.inverse_nets))
            for net in nets
        ),
    )


def _multiplier_table(found: TinyFindings) -> Table:
    """How r, d and w go with accuracy."""
    return Table(
        title="Multipliers",
        about="Spearman's correlation with accuracy on the test photos, with 95 % intervals.",
        header=(
            *("multiplier", "as it is", "at the same cost", "more than width's"),
            "with training loss, at the same cost",
        ),
        rows=tuple(
            (m.name, *map(_rank, (m.marginal, m.at_cost, m.over_width, m.with_loss)))
            for m in found.multipliers
        ),
    )


def _proxy_table(found: TinyFindings) -> Table:
    """How numbers of untrained networks do."""
    return Table(
        title="Zero-cost proxies",
        about="The same, of numbers of the untrained network; parameters are the control.",
        header=("proxy", "as it is", "at the same cost", "more than parameters'"),
        rows=tuple(
            (one.proxy, *map(_rank, (one.marginal, one.at_cost, one.over_control)))
            for one in found.foretold
        ),
    )


def _network(net: TrainedNetwork) -> list[str]:
    one = net.network
    scores = ["failed", "failed"]
    if net.is_trained:
        scores = [f"{100 * net.mean(name):.1f}" for name in (VALIDATION, TEST)]
    counts = [f"{one['macs']:,}", f"{one['parameters']:,}", str(one["pixels"])]
    return [*counts, *(f"{one[n]:.3f}" for n in ("resolution", "depth", "width")), *scores]


def _rank(one: RankCorrelation | RankDifference | None) -> str:
    return (
        "-"
        if one is None or one.value is None
        else with_ends(one.value, one.low, one.high, sign=True)
    )
