"""What networks cost, on the page of studies."""

from __future__ import annotations

from collections.abc import Sequence

from ..findings import Table, cost_sentence, load_warnings, measured_sentences
from ..study import Record
from .answers import other_grids, runs_of
from .cost_table import cost_key, cost_tables
from .model_results import ModelResults
from .page import Block, Legend, Section
from .panels import cost_panels, size_panels
from .styles import workload_styles


def cost_section(results: Sequence[ModelResults]) -> Section:
    """Side by side the models that took turns, then each model."""
    runs = runs_of(results)
    costs = [record for result in results for record in result.costs]
    blocks = [Block(heading="Side by side", tables=_cost_tables(run)) for run in runs]
    for result in results:
        panels = [*size_panels(result, other_grids(result, results)), *cost_panels(result)]
        if panels or (result.costs and not runs):
            blocks.append(
                Block(
                    heading=result.heading,
                    about=_about_costs(result),
                    legend=_cost_legend(result),
                    legend_about="Workloads",
                    panels=panels,
                    tables=_cost_tables(result.costs),
                )
            )
    return Section(
        key="costs",
        title="What it costs",
        link="Costs",
        blocks=blocks,
        remark=cost_key(costs) if any(block.tables for block in blocks) else "",
    )


def _about_costs(result: ModelResults) -> str:
    speeds = cost_sentence(result.grid)
    if result.costs and result.grid.quality:
        return " ".join([speeds, *measured_sentences(result.costs)]).strip()
    return " ".join([speeds, *load_warnings(result.records)]) if speeds else ""


def _cost_legend(result: ModelResults) -> Legend:
    """The workloads that `widthwise measure` measured."""
    styles = workload_styles(list(dict.fromkeys(r.settings["workload"] for r in result.costs)))
    return [(style.glyph, style.color, name) for name, style in styles.items()]


def _cost_tables(costs: Sequence[Record]) -> list[Table]:
    """A table a workload, of the columns that say something."""
    return [table.nonempty() for table in cost_tables(costs)]
