"""The paper's headline claims, computed from its tables, beside floors and intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...stats import joined
from ...study import Record
from ..comparisons import beats_its_floor
from ..table import Table
from ..tables import PAIR_COLUMNS, p_notes, tested_pairs, warnings_of
from ..types import Findings
from .cost_claims import batches, energy, energy_of, latency
from .score_claims import (
    CHANGE_COLUMNS,
    Model,
    change_at,
    changed,
    correlation_with_mc2,
    model_of,
    monotone,
)
from .tables import MODELS, SOURCE, WRONG_UNIT, rows_of

_UNPAIRED = (
    "Scores were published without items: intervals are binomial, from the size of the full test "
    "set; differences are unpaired; p is Holm's over all widths of a task and model."
)
_JOULES = (
    f"Joules there are too small by the factor {WRONG_UNIT}: kg of CO2 were stored as kWh. Ratios "
    "are not touched by that. Intervals of ratios are from 3 runs with different prompts."
)


def claims(records: Sequence[Record]) -> Findings:
    """The headline numbers in tables, and the sentences that sum them up."""
    small, large, instruct = (model_of(name, records) for name in MODELS)
    return Findings(
        model=f"The headline claims of {SOURCE}",
        curves=(),
        fronts=(),
        correlations=(),
        hypotheses=(),
        sentences=_sentences(small, large, instruct),
        tables=(
            _changes(small, large, instruct),
            _correlations((large, small)),
            _others(small, large),
            _floors(),
        ),
    )


def _changes(small: Model, large: Model, instruct: Model) -> Table:
    return Table(
        title="Scores that are said to rise or to stay",
        about="Each beside dense, and beside its floor.",
        header=CHANGE_COLUMNS,
        rows=(
            changed(small, "ifeval", 40),
            changed(small, "ifeval", 30),
            changed(large, "ifeval", 10),
            changed(instruct, "ifeval", 60),
            changed(small, "truthfulqa_mc2", 60),
            changed(large, "truthfulqa_mc2", 60),
            changed(small, "boolq", 50),
        ),
        notes=(_UNPAIRED,),
    )


def _correlations(models: Sequence[Model]) -> Table:
    tasks = ("mmlu", "hellaswag", "arc_challenge")
    pairs = [(model, correlation_with_mc2(model, task)) for model in models for task in tasks]
    every = tested_pairs([pair for _, pair in pairs])
    of_pairs = Table.of(
        every,
        PAIR_COLUMNS,
        title="Knowledge against truthfulness",
        about="Said of MMLU and TruthfulQA-MC2; other falling tasks beside it.",
        notes=(*warnings_of(every), *p_notes(every, every)),
    )
    rows = (
        (f"{model.name} {tasks}", *rest)
        for (model, _), (tasks, *rest) in zip(pairs, of_pairs.rows, strict=True)
    )
    return replace(of_pairs, rows=tuple(rows))


def _others(small: Model, large: Model) -> Table:
    claims_shown = (
        monotone(small, "mmlu"),
        monotone(large, "mmlu"),
        energy_of(small.name, "mmlu_latency_b1", 60),
        energy(small.name, 60),
        energy(large.name, 60),
        batches(small.name),
        batches(large.name),
        latency(small.name, 60),
        latency(large.name, 60),
    )
    return Table.of(
        claims_shown,
        {
            "claim": lambda claim: claim.claim,
            "computed": lambda claim: claim.value,
            "beside it": lambda claim: claim.beside,
        },
        title="Other claims",
        about="Monotone loss, joules and milliseconds.",
        notes=(_JOULES,),
    )


def _floors() -> Table:
    return Table.of(
        (row for row in rows_of("tasks") if row["floor"]),
        {
            "task": lambda row: row["task"],
            "items": lambda row: f"{int(row['items']):,}",
            "floor": lambda row: f"{float(row['floor']):.4f}",
            "answerer": lambda row: row["floor_kind"],
            "source": lambda row: row["floor_source"],
        },
        title="Floors",
        about="What the best trivial answerer gets on all items of the task.",
    )


def _sentences(small: Model, large: Model, instruct: Model) -> tuple[str, ...]:
    """The claims that scores alone can answer, in a few sentences."""
    base = (small, large)
    sentences = (_of_ifeval(base), _of_instruct(instruct), _of_mc2(base), _of_correlation(large))
    return tuple(filter(None, sentences))


def _above(models: Sequence[Model], task: str) -> str:
    """Which of the networks are shown above the task's floor: `"only 3B dense"`, or `"none"`."""
    above = [
        f"{model.name} {network.label}"
        for model in models
        for network in model.grid.networks
        if beats_its_floor(model.grid.cells[network, task])
    ]
    return f"only {joined(above)}" if above else "none"


def _count(models: Sequence[Model]) -> int:
    return sum(len(model.grid.networks) for model in models)


def _of_ifeval(models: Sequence[Model]) -> str:
    floor = models[0].at("ifeval", 0)
    return (
        f"IFEval is said to improve by {change_at(models[0], 'ifeval', 40)} and "
        f"{change_at(models[0], 'ifeval', 30)} in 1B: of the {_count(models)} base networks, "
        f"dense or cut, {_above(models, 'ifeval')} is shown above the {floor.floor:.4f} of "
        f"{floor.floor_kind}."
    )


def _of_instruct(model: Model) -> str:
    dense, cut = model.at("ifeval", 0), model.at("ifeval", 60)
    difference = model.judged[model.network(60), "ifeval"].difference
    assert difference is not None
    if not (beats_its_floor(dense) and difference.high < 0):
        return ""
    return (
        f"1B-Instruct is above that floor, and there IFEval falls from {dense.value:.3f} to "
        f"{cut.value:.3f}, by {-difference.value:.3f} [{-difference.high:.3f}, "
        f"{-difference.low:.3f}]."
    )


def _of_mc2(models: Sequence[Model]) -> str:
    floor = models[0].at("truthfulqa_mc2", 0).floor
    return (
        f"TruthfulQA-MC2: of the {_count(models)} base networks {_above(models, 'truthfulqa_mc2')} "
        f"is shown above the {floor:.4f} of uniform likelihood."
    )


def _of_correlation(model: Model) -> str:
    mmlu = correlation_with_mc2(model, "mmlu").correlation
    other = correlation_with_mc2(model, "hellaswag").correlation
    return (
        f"MMLU against MC2 in 3B has r = {mmlu.pearson:.3f} with an interval from "
        f"{mmlu.low:.2f} to {mmlu.high:.2f}, of {mmlu.n} widths; HellaSwag against MC2 has "
        f"{other.pearson:.3f} [{other.low:.2f}, {other.high:.2f}]."
    )
