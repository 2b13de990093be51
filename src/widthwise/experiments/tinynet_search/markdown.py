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
from .findings.predictors import claim_of
from .networks import TrainedNetwork
from .train import TEST, VALIDATION

_CLAIM = "Resolution and depth matter more than width (arXiv 2010.14819)"


def search_text(findings: TinyFindings, notes: Sequence[str] = ()) -> str:
    """What a search says, in Markdown: sentences first, then the tables behind them.

    Args:
        findings: The findings.
        notes: What could not be done, and why.
    """
    parts = ["# A search for small networks\n"]
    parts += [f"- {sentence}" for sentence in (*sentences_of(findings), *notes)]
    for table in tables_of(findings):
        rows = table.markdown() if table.rows else "Nothing: too few networks were trained."
        parts += [f"\n## {table.title}\n\n{table.about}\n", rows]
    return "\n".join(parts) + "\n"


def tables_of(findings: TinyFindings) -> tuple[Table, ...]:
    """All tables, the same in Markdown and on the page."""
    return (
        _comparison_table(findings),
        _network_table(findings),
        _multiplier_table(findings),
        _proxy_table(findings),
    )


def sentences_of(findings: TinyFindings) -> tuple[str, ...]:
    """The findings in words, no more than their intervals carry."""
    return (
        *trained_sentences(findings),
        *judged_sentences(findings),
        *(
            f"Failed: {trial.experiment}, seed {trial.seed}: {trial.reason}"
            for trial in findings.failed
        ),
    )


def trained_sentences(findings: TinyFindings) -> tuple[str, ...]:
    """What was trained, and how accurate it is."""
    trained = [net for net in findings.drawn if net.is_trained]
    sentences = [
        f"{len(trained)} of {len(findings.drawn)} networks drawn were trained, each with "
        f"{counted(findings.seeds, 'seed')}; a training took {findings.seconds:.0f} s (median)."
    ]
    if findings.floor is not None and trained:
        values = [net.mean(TEST) for net in trained]
        beaten = sum(_beats(net, findings.floor, len(trained)) for net in trained)
        sentences.append(
            f"Accuracy on the test set is {100 * min(values):.1f} to {percent(max(values))}; "
            f"the most frequent class alone gets {percent(findings.floor)}, and "
            f"{counted(beaten, 'network')} {'is' if beaten == 1 else 'are'} shown to get more."
        )
    return tuple(sentences)


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


def judged_sentences(findings: TinyFindings) -> tuple[str, ...]:
    """What was asked of the search: the paper's claim, and the formula beside others."""
    return (
        f"{_CLAIM}: {claim_of(findings.multipliers)}.",
        *(
            f"The formula beside {difference.other}: {_said(difference)}."
            for difference in findings.besides
        ),
    )


def _said(difference: AccuracyDifference) -> str:
    if difference.value is None:
        return f"not judged, {difference.reason}"
    points = f"{fixed(100 * difference.value, 1, sign=True)} points"
    if difference.low is None or difference.high is None:
        return f"{points}, no interval: {difference.reason}"
    ends = ", ".join(fixed(100 * end, 1, sign=True) for end in (difference.low, difference.high))
    return f"{difference.verdict}, {points} [{ends}], p {p_text(difference.p_value)}"


def _comparison_table(findings: TinyFindings) -> Table:
    """The formula beside others."""
    return Table(
        title="The formula beside others",
        about="At the same budgets, on the test photos. Intervals hold chance of photos and seeds, "
        "and of a random network that of the draw. Other draws would have given another formula "
        "and another best network: that is in none of them.",
        header=("beside", "difference in accuracy [95 %], p (Holm)", "budgets", "of"),
        rows=tuple(
            (
                difference.other,
                _said(difference),
                ", ".join(f"{budget / 1e6:g}M" for budget in difference.budgets),
                f"{difference.photos} photos, {difference.runs} runs or more",
            )
            for difference in findings.besides
        ),
    )


def _network_table(findings: TinyFindings) -> Table:
    """Every network with its accuracies."""
    front = {id(net) for net in findings.front}
    kinds = (("drawn", findings.drawn), ("formula", findings.formula_nets))
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
            for kind, nets in (*kinds, ("inverse", findings.inverse_nets))
            for net in nets
        ),
    )


def _multiplier_table(findings: TinyFindings) -> Table:
    """How r, d and w go with accuracy."""
    return Table(
        title="Multipliers",
        about="Spearman's correlation with accuracy on the test photos, with 95 % intervals.",
        header=(
            *("multiplier", "as it is", "at the same cost", "more than width's"),
            "with training loss, at the same cost",
        ),
        rows=tuple(
            (m.name, *map(_rank, (m.marginal, m.at_cost, m.lead, m.with_loss)))
            for m in findings.multipliers
        ),
    )


def _proxy_table(findings: TinyFindings) -> Table:
    """How numbers of untrained networks do."""
    return Table(
        title="Zero-cost proxies",
        about="The same, of numbers of the untrained network; parameters are the control.",
        header=("proxy", "as it is", "at the same cost", "more than parameters'"),
        rows=tuple(
            (proxy.name, *map(_rank, (proxy.marginal, proxy.at_cost, proxy.lead)))
            for proxy in findings.foretold
        ),
    )


def _network(net: TrainedNetwork) -> list[str]:
    network = net.network
    scores = ["failed", "failed"]
    if net.is_trained:
        scores = [f"{100 * net.mean(name):.1f}" for name in (VALIDATION, TEST)]
    counts = [f"{network['macs']:,}", f"{network['parameters']:,}", str(network["pixels"])]
    return [*counts, *(f"{network[n]:.3f}" for n in ("resolution", "depth", "width")), *scores]


def _rank(rank: RankCorrelation | RankDifference | None) -> str:
    return (
        "-"
        if rank is None or rank.value is None
        else with_ends(rank.value, rank.low, rank.high, sign=True)
    )
