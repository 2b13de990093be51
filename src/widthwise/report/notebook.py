"""A study in a notebook: what it says at a glance, its records as a table of pandas."""

from __future__ import annotations

import hashlib
from dataclasses import fields
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunError
from ..findings import Findings, build_findings
from ..stats import number
from ..study import Record, StoredStudy, read_study
from .answers import answer_of
from .html_table import MARKS
from .model_results import ModelResults, results_of
from .panels import quality_panels
from .study_page import legend_of, order_by_floor, write_report

if TYPE_CHECKING:
    import pandas as pd

_PANELS = 4  # that a cell's output bears
_STYLE = (
    ".widthwise{--ink:currentColor;--muted:#808790;--rule:rgb(128 128 128/.3);--page:transparent;"
    "max-width:64rem}"
    ".widthwise .figures{display:grid;gap:1rem;"
    "grid-template-columns:repeat(auto-fill,minmax(14rem,1fr))}"
    ".widthwise svg{width:100%;height:auto;overflow:visible}"
    ".widthwise td,.widthwise th{text-align:right;white-space:nowrap}"
    ".widthwise td:first-child,.widthwise th:first-child{text-align:left}"
)


def open_study(path: str | Path) -> StudyView:
    """Open the folder of a study, finished or not, or a file of records.

    Raises:
        RunError: As `study.read_study`.

    Example:
        >>> import widthwise
        >>> study = widthwise.open_study("results/smollm2-demo.jsonl")
        >>> study
        StudyView('results/smollm2-demo.jsonl'): 166 records of SmolLM2-135M-Instruct
        >>> int((study.records()["quantity"] == "prose").sum())
        19
    """
    return StudyView(read_study(path))


class StudyView:
    """A stored study for interactive work; as the last line of a notebook's cell it shows itself.

    Attributes:
        stored: Its path, settings, records, and how many cells have none yet.
    """

    def __init__(self, stored: StoredStudy) -> None:
        self.stored = stored

    def records(self) -> pd.DataFrame:
        """A row a record, a column a field, and one for each of its settings: `settings.dtype`.

        Raises:
            RunError: There is no pandas.
        """
        try:
            import pandas as pd
        except ImportError as error:
            raise RunError("a table of records needs pandas; pip install pandas") from error

        return pd.DataFrame([_flat(record) for record in self.stored.records])

    def findings(self) -> tuple[Findings, ...]:
        """What may be said of each of its models.

        Raises:
            RunError: As `findings.build_findings`.
        """
        return build_findings(self.stored.records)

    def report(self, path: str | Path) -> Path:
        """Write the page of `widthwise report` and return its path.

        Raises:
            OutputError: It cannot be written.
        """
        path = Path(path)
        write_report([self.stored], path)
        return path

    def __repr__(self) -> str:
        models = ", ".join(dict.fromkeys(record.model for record in self.stored.records))
        count = len(self.stored.records)
        return f"StudyView({str(self.stored.path)!r}): {count} records of {models}"

    def _repr_html_(self) -> str:
        """The answer, the scores that dense knows something of, and a table of all."""
        parts = [f"<style>{_STYLE}</style>"]
        for result in self._series:
            title = f"<h4>{escape(result.name)}</h4>" if len(self._series) > 1 else ""
            items = "".join(
                f"<p>{escape(text)}</p>"
                for text in (*answer_of(result, self._series), *result.notes)
            )
            parts.append(title + items + _figures(result, self._prefix) + _table(result))
        return f'<div class="widthwise">{"".join(parts)}</div>'

    @cached_property
    def _series(self) -> tuple[ModelResults, ...]:
        return results_of([self.stored])

    @property
    def _prefix(self) -> str:
        """Tells the identifiers of one output from those of another in the same notebook."""
        return "w" + hashlib.sha256(str(self.stored.path.resolve()).encode()).hexdigest()[:8]


def _flat(record: Record) -> dict[str, Any]:
    row = {f.name: getattr(record, f.name) for f in fields(Record) if f.name != "settings"}
    return row | {f"settings.{name}": value for name, value in record.settings.items()}


def _figures(result: ModelResults, prefix: str) -> str:
    if not result.grid.quality:
        return ""
    known, rest = order_by_floor([result])
    panels = quality_panels([result], (*known, *rest)[:_PANELS], prefix=prefix)
    marks = " &ensp; ".join(
        f'<span style="color:{color}">{glyph}</span> {escape(name)}'
        for glyph, color, name in legend_of([result])
    )
    drawn = "".join(panel.svg for panel in panels)
    return f'<p>{marks}</p><div class="figures">{drawn}</div>'


def _table(result: ModelResults) -> str:
    """A row a task: dense, then the widths of the first criterion that is no control."""
    grid = result.grid
    if not grid.quality:
        return ""
    networks = [n for n in grid.networks if n.criterion in (None, *grid.chosen[:1])]
    head = "".join(f"<th>{escape(n.named)}</th>" for n in networks)
    rows = "".join(
        f"<tr><th>{escape(quantity)}</th><td>{_floor(grid.sample(quantity))}</td>"
        + "".join(f"<td>{_cell(result, grid.cells.get((n, quantity)))}</td>" for n in networks)
        + "</tr>"
        for quantity in grid.quality
    )
    key = "".join(f"{mark}{word}, " for word, mark in MARKS.items()).rstrip(", ")
    return (
        f"<table><thead><tr><th></th><th>floor</th>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"<p><small>{key}, beside dense and floor by 95 % intervals.</small></p>"
    )


def _floor(sample: Record) -> str:
    return "" if sample.floor is None else number(sample.floor, sample.unit)


def _cell(result: ModelResults, record: Record | None) -> str:
    if record is None or record.value is None:
        return "missing" if record else ""
    return MARKS.get(result.word(record), "") + number(record.value, record.unit)
