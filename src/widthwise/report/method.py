"""How the numbers of studies were measured, in the paragraphs that apply to them."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from ..stats import is_perplexity
from ..study import CONTROL
from .model_results import ModelResults
from .score_table import CHANCE_CORRECTED, COLUMNS, nonempty_columns

_FLOOR = (
    " A <em>floor</em> is what the best trivial answerer gets on all documents of the task, "
    "however few of them were asked."
)
_WORDS = (
    "<em>At the floor</em>: the interval of the score minus its floor does not clear 0, whatever "
    "else the score did. The floor has a sampling error too, and what luck it shares with the "
    "score, being right on the same items, is counted. A score that is shown to be worse than its "
    "floor is <em>below the floor</em>. <em>No change shown</em>: the interval of the paired "
    "difference from dense (of right and wrong Tango's; of other values Student's below 8 items, "
    "the bootstrap's from 8 on) contains zero, or its exact McNemar or sign-flip p-value, adjusted "
    "by Holm's method over all networks of that quantity, is above 0.05. In all other cases the "
    "score <em>improves</em> or <em>degrades</em>. No change shown is not the same as no change: "
    "few items show little. <em>Too few items</em>: the score may be at its floor or well above "
    "it, and is not shown to be worse than dense."
)
_PERPLEXITIES = (
    " Perplexities are compared by their logarithms, and their differences shown as ratios: "
    "x&nbsp;1.10 is a tenth more."
)
_SHARED = (
    "Networks of one width share its speeds: which neurons are kept makes no difference to them, "
    "so they were timed once."
)
_SEVERAL = (
    "Two studies are compared only on tasks whose metric, examples in the prompt, sample, version "
    "and floors are the same, and item by item; p-values are adjusted over all networks of a task. "
    "A checkpoint that was cut knows its parent by the fingerprint of its GLU weights, and is "
    "compared with it wherever it was measured, p-values adjusted over all such pairs of a task; "
    "it is compared also with cuts of its parent that are as wide."
)
_CORRECTED = (
    "<em>Chance-corrected</em> is (score &minus; chance) / (1 &minus; chance), chance being an "
    "even guess among the options."
)
_WRITTEN = (
    " <em>Capped</em> is the share of the written texts that were cut off at their limit, "
    "<em>loops</em> the share that end by saying one thing over and over."
)
_ANYTIME = (
    "Some tasks were ended when the difference from dense was certain enough. Their intervals and "
    "p-values are <em>anytime-valid</em> (a confidence sequence by betting): they hold wherever "
    "one stops, over the items that both networks answered."
)
_CONTROL = (
    "The random control keeps as many neurons, drawn by lot. A criterion that does not beat it has "
    "chosen nothing."
)


def method_sentences(results: Sequence[ModelResults]) -> list[Markup]:
    """The paragraphs that apply to these results."""
    tables = [table for result in results for table in result.scores]
    shown = {COLUMNS[i] for i in nonempty_columns(tables)}
    grids = [result.grid for result in results]
    scored, written = bool(tables), "capped" in shown
    perplexity = any(is_perplexity(r.unit) for result in results for r in result.records)
    paragraphs = {
        "I/H is the expansion ratio, the intermediate size over the hidden size, as it was got "
        "after alignment; “asked” is what was asked for. Intervals are 95&nbsp;%, over items for "
        f"scores and over repeats for speeds.{_FLOOR * scored}": True,
        _SHARED: any(grid.shares_costs for grid in grids),
        _WORDS + _PERPLEXITIES * perplexity: scored,
        _SEVERAL: len(results) > 1,
        _CORRECTED + _WRITTEN * written: written or CHANCE_CORRECTED in shown,
        _ANYTIME: any(table.anytime for table in tables),
        _CONTROL: any(CONTROL in grid.criteria for grid in grids),
    }
    return [Markup(text) for text, applies in paragraphs.items() if applies]
