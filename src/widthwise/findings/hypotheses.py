"""What the paper claims of capabilities, tested on a study of any model.

Four claims, each with the one test that decides it, on the same items at all widths:

1. IFEval rises as the model gets narrower: the slope of the score over the widths, and some cut
   beats the floor.
2. TruthfulQA-MC2 rises while MMLU falls, and they go against each other more than MC2 goes against
   HellaSwag and ARC, which fall as well: two slopes and two leads of correlations, over all
   networks of the study. All four must be shown.
3. MUSR is robust: the mean loss over all cuts is shown to be less than `MARGIN`.
4. The criterion chooses better than chance: on some task that the dense model knows, its mean over
   all widths is shown to be better than several draws of the control, and on none worse.

The p-values of one criterion are adjusted by Holm's method. A task on which no network beats its
floor decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ..stats import holm, joined, p_text, with_ends
from ..study import is_control
from .claim_effects import (
    Column,
    column_of,
    lead_of_correlation,
    lead_over_chance,
    mean_change,
    slope,
)
from .comparisons import CONFIDENCE, beats_its_floor
from .grid import Grid
from .table import Table
from .types import Effect, Hypothesis, Outcome

MARGIN = 0.05  # of right answers: what MUSR may lose on average and still be called robust
_LEVEL = 1 - CONFIDENCE
_FORMS = ("", "@chat")  # a task in plain text, and with the chat template
_FEWEST = 3  # networks of a slope
_ALSO_FALL = ("hellaswag", "arc_challenge")
_TRADE = "TruthfulQA-MC2 rises as MMLU falls, more so than HellaSwag and ARC"


def hypotheses(grid: Grid, criterion: str) -> tuple[Hypothesis, ...]:
    """The claims that the records of a criterion can decide, their p-values adjusted.

    None of them where a study has none of the tasks, or fewer than three networks.

    Args:
        grid: All records of one model, with items.
        criterion: Of `grid.chosen`.
    """
    claims = _Claims(grid, criterion)
    tested = list(claims.of_tasks())
    if tested:  # a study without these tasks has its own table of chance
        tested += claims.beside_chance()
    adjusted = holm([each.p_value for each in tested])
    return tuple(
        _settled(replace(each, p_value=p)) for each, p in zip(tested, adjusted, strict=True)
    )


def _settled(found: Hypothesis) -> Hypothesis:
    """A claim whose adjusted p does not carry its word is not shown."""
    is_shown = found.outcome in ("supported", "contradicted")
    if is_shown and found.p_value > _LEVEL:
        return replace(found, outcome="not shown", reason="")
    return found


class _Claims:
    """The claims of one criterion, before any p is adjusted."""

    def __init__(self, grid: Grid, criterion: str) -> None:
        self._grid = grid
        self._criterion = criterion
        dense = () if grid.dense is None else (grid.dense,)
        self._networks = (*dense, *grid.cut_by(criterion))

    def of_tasks(self) -> Iterator[Hypothesis]:
        for form in _FORMS:
            if column := self._widths(f"ifeval{form}"):
                yield self._rises(column, f"IFEval{form} rises as width falls")
        mc2, mmlu = self._widths("truthfulqa_mc2"), self._widths("mmlu")
        if mc2 and mmlu:
            yield self._trade(mc2, mmlu)
        for form in _FORMS:
            if column := self._widths(f"leaderboard_musr{form}"):
                yield self._holds(column, f"MUSR{form} is robust")

    def _widths(self, task: str) -> Column | None:
        """A task over dense and all cuts; None where there are too few of them."""
        column = column_of(self._grid, task, self._networks)
        if column is None or len(column.networks) < _FEWEST:
            return None
        return column if column.networks[0] == self._grid.dense else None

    def _beats(self, column: Column) -> list[bool]:
        """Whether each network is shown to beat the floor."""
        return [beats_its_floor(self._grid.cells[n, column.task]) for n in column.networks]

    def _rises(self, column: Column, claim: str) -> Hypothesis:
        effect, beats = slope(column), self._beats(column)
        outcome: Outcome = "not shown"
        if not any(beats):
            outcome = "at the floor"
        elif effect.away_from(0, 1):
            outcome = "supported" if any(beats[1:]) else "at the floor"
        elif effect.away_from(0, -1):
            outcome = "contradicted"
        return self._found(claim, [effect], effect.p_value, outcome)

    def _trade(self, mc2: Column, mmlu: Column) -> Hypothesis:
        """All parts must be shown; a slope that is shown the other way contradicts."""
        every = [column_of(self._grid, t, self._grid.networks) for t in (mc2.task, mmlu.task)]
        others = [column_of(self._grid, task, self._grid.networks) for task in _ALSO_FALL]
        parts = [(slope(mc2), 1), (slope(mmlu), -1)]
        if every[0] and every[1]:
            leads = [lead_of_correlation(every[1], o, every[0]) for o in others if o]
            parts += [(lead, -1) for lead in leads]
        outcome, reason = self._trade_outcome(mc2, mmlu, parts)
        effects = [effect for effect, _ in parts]
        return self._found(_TRADE, effects, _trade_p(parts), outcome, reason)

    def _trade_outcome(
        self, mc2: Column, mmlu: Column, parts: Sequence[tuple[Effect, int]]
    ) -> tuple[Outcome, str]:
        dead = [column.task for column in (mc2, mmlu) if not any(self._beats(column))]
        if dead:
            return "at the floor", f"no network is shown to beat the floor of {joined(dead)}"
        reverse = [effect.what for effect, sign in parts[:2] if effect.away_from(0, -sign)]
        if reverse:
            return "contradicted", f"the other way: {joined(reverse)}"
        missing = [effect.what for effect, sign in parts if not effect.away_from(0, sign)]
        if len(parts) < len(_ALSO_FALL) + 2:
            missing.append(f"its lead over {joined(_ALSO_FALL)}, of which one was not asked")
        return ("not shown", f"not shown: {joined(missing)}") if missing else ("supported", "")

    def _holds(self, column: Column, claim: str) -> Hypothesis:
        effect = mean_change(column, -MARGIN)
        outcome: Outcome = "not shown"
        if not self._beats(column)[0]:
            outcome = "at the floor"
        elif effect.away_from(-MARGIN, 1):
            outcome = "supported"
        elif effect.away_from(-MARGIN, -1):
            outcome = "contradicted"
        about = f"{claim}: it loses less than {100 * MARGIN:.0f} points"
        return self._found(about, [effect], effect.p_value, outcome)

    def _leads(self) -> Iterator[Effect]:
        """Of each task that dense beats the floor on, if there are two draws of the control."""
        if is_control(self._criterion):
            return
        for task in self._grid.quality:
            own = column_of(self._grid, task, self._grid.cut_by(self._criterion))
            drawn = [column_of(self._grid, task, self._grid.cut_by(d)) for d in self._grid.draws]
            draws = [column for column in drawn if column is not None]
            if own is None or len(draws) < 2 or not beats_its_floor(self._grid.of_dense(task)):
                continue
            widths = [n.width for n in own.networks]
            if all([n.width for n in draw.networks] == widths for draw in draws):
                yield lead_over_chance(own, draws)

    def beside_chance(self) -> list[Hypothesis]:
        """Of all tasks together, p being Bonferroni's over them; none without two draws."""
        leads = list(self._leads())
        if not leads:
            return []
        p = min(1.0, len(leads) * min(lead.p_value for lead in leads))
        shown = [lead for lead in leads if lead.p_value * len(leads) <= _LEVEL]
        better = [lead.what for lead in shown if lead.away_from(0, 1)]
        worse = [lead.what for lead in shown if lead.away_from(0, -1)]
        outcome: Outcome = "not shown"
        if better and not worse:
            outcome = "supported"
        elif worse and not better:
            outcome = "contradicted"
        parts = [(better, "better"), (worse, "worse")]
        words = [f"{word} on {joined(names)}" for names, word in parts if names]
        claim = f"{self._criterion} chooses better than chance"
        return [self._found(claim, leads, p, outcome, joined(words))]

    def _found(
        self, claim: str, effects: Sequence[Effect], p: float, outcome: Outcome, reason: str = ""
    ) -> Hypothesis:
        return Hypothesis(
            claim=claim,
            criterion=self._criterion,
            effects=tuple(effects),
            p_value=p,
            outcome=outcome,
            reason=reason,
        )


def _trade_p(parts: Sequence[tuple[Effect, int]]) -> float:
    """p of a claim all parts of which must be shown; of its reverse, of which one slope is enough,
    where a slope goes the other way.

    Args:
        parts: Effects with the sign that each must have, the two slopes first.
    """
    against = [effect.p_value for effect, sign in parts[:2] if effect.value * sign < 0]
    if against:
        return min(1.0, 2 * min(against))
    if all(effect.value * sign > 0 for effect, sign in parts):
        return max(effect.p_value for effect, _ in parts)
    return 1.0


def hypothesis_table(tested: Sequence[Hypothesis]) -> Table | None:
    """A claim a row; None where a study can decide none."""
    if not tested:
        return None
    criterion = tested[0].criterion
    rows = [
        (*(_stated(found) if part == 0 else ("", "", "")), effect.what, _ends(effect))
        for found in tested
        for part, effect in enumerate(found.effects)
    ]
    adjusted = f", by Holm's method over these {len(tested)} claims" if len(tested) > 1 else ""
    return Table(
        title=f"The claims of arXiv 2512.22671, of {criterion} here",
        about="Each with the test that decides it, on the same items at all widths.",
        header=("claim", "outcome", "p (Holm)", "measured", "value [95 %]"),
        rows=tuple(rows),
        notes=(
            *(f"{found.claim}: {found.reason}." for found in tested if found.reason),
            f"p is of the claim or of its reverse, whichever the numbers are for{adjusted}.",
            "At the floor: no network is shown to do better than a trivial answer, so that a rise "
            "or a fall there says nothing.",
        ),
    )


def _stated(found: Hypothesis) -> tuple[str, str, str]:
    return found.claim, found.outcome, p_text(found.p_value)


def _ends(effect: Effect) -> str:
    return with_ends(effect.value, effect.low, effect.high, decimals=3, sign=True)
