"""From records to all that they say."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from ..errors import RunError
from ..stats import grouped
from ..study import Record, is_control
from .comparisons import compare_to_dense, paired_or_independent
from .control import wins_over_control
from .correlations import task_correlations
from .curve_prose import findings_sentences
from .curves import SHARE_LOSS, curves_of
from .grid import Grid, build_grid
from .hypotheses import hypotheses, hypothesis_table
from .pareto import fronts_of
from .tables import control_table, curve_table, front_tables, missing_notes, pair_table
from .types import Findings

_UNPAIRED = (
    "These scores have no items: their intervals are from the number of items alone, and "
    "differences are taken as those of unpaired scores."
)


def build_findings(
    records: Sequence[Record], *, loss: float = SHARE_LOSS, others: Sequence[Grid] = ()
) -> tuple[Findings, ...]:
    """What the records say of each of their models, in the order in which these come.

    Args:
        records: Of one or more models.
        loss: How much worse than dense a share of right answers may be and still be called within
            the loss; of perplexities and bits per byte that is 5 % of dense.
        others: What else is at hand, among it perhaps the parent of a model that was cut before.

    Raises:
        RunError: No records, none of them a score, a loss outside (0, 1), or as `build_grid`.

    Example:
        >>> from widthwise.study import read_study
        >>> (found,) = build_findings(read_study("results/smollm2-demo.jsonl").records)
        >>> [curve.trend for curve in found.curves if curve.quantity == "prose"]
        ['falls', 'falls', 'falls']
    """
    if not 0 < loss < 1:
        raise RunError(f"a loss of shares must be in (0, 1); got {loss:g}")
    models = dict.fromkeys(record.model for record in records)
    if not models:
        raise RunError("findings need at least one record; got none, so run the study first")
    grids = tuple(build_grid([r for r in records if r.model == model]) for model in models)
    return tuple(_of_model(grid, (*grids, *others), loss) for grid in grids)


def _of_model(grid: Grid, others: Sequence[Grid], loss: float) -> Findings:
    curves = curves_of(grid, compare_to_dense(grid, paired_or_independent), loss)
    grouped_curves = grouped((curve.criterion, curve) for curve in curves)
    by_criterion = {name: grouped_curves[name] for name in grid.chosen if name in grouped_curves}
    beside = {
        name: wins_over_control(grid, name)
        for name in by_criterion
        if grid.draws and not is_control(name)
    }
    fronts, pairs = fronts_of(grid), task_correlations(grid, curves)
    claims = [hypotheses(grid, name) for name in by_criterion if not is_control(name)]
    tables = [
        curve_table(name, of_criterion, loss, _notes(grid))
        for name, of_criterion in by_criterion.items()
    ]
    more = (control_table(grid, beside), *front_tables(fronts), pair_table(pairs))
    tables += [table for table in (*more, *map(hypothesis_table, claims)) if table is not None]
    return Findings(
        model=grid.model,
        curves=curves,
        fronts=fronts,
        correlations=pairs,
        hypotheses=tuple(chain.from_iterable(claims)),
        sentences=findings_sentences(grid, others, by_criterion, beside, fronts, loss),
        tables=tuple(tables),
    )


def _notes(grid: Grid) -> tuple[str, ...]:
    has_items = any(r.items for (_, quantity), r in grid.cells.items() if quantity in grid.quality)
    return (*(() if has_items else (_UNPAIRED,)), *missing_notes(grid))
