"""The page: one HTML file with everything in it, written whole or not at all."""

from __future__ import annotations

import base64
import csv
import json
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..findings.grid import CONTROL, Grid, arrange, estimate_of, network_of
from ..findings.judge import Judgements, beside_dense
from ..study.records import Record
from . import figures
from .provenance import counted, measured_rows, setting_rows
from .scores import COLUMNS, filled, scores_of
from .summary import cost_sentence, sentences
from .table import NOT_MEASURED, floor_text, missing_notes, rows_of, with_error


def write_page(
    records: Sequence[Record], path: Path, *, title: str, settings: Mapping[str, Any]
) -> None:
    """Write the report of one model's records; an existing file is replaced in one step.

    The page needs no other file and no network. The same arguments give the same bytes.

    Args:
        records: Of one study; missing values are shown with their reasons.
        path: The HTML file; its folder must exist.
        title: Heading of the page.
        settings: What the reader should know about the run beside what the records say.

    Raises:
        RunError: No records, or records that do not belong together (see `grid.arrange`).
        OutputError: The file cannot be written.
    """
    grid = arrange(records)
    judged = beside_dense(grid)
    header, rows = rows_of(grid)
    scores = scores_of(grid, judged)
    shown = filled(scores)
    page = _template().render(
        title=title,
        model=grid.model,
        networks=len(grid.networks),
        answer=sentences(grid, judged),
        cost=cost_sentence(grid),
        legend=figures.legend(grid),
        quality=_quality_figures(grid, judged),
        costs=_cost_figures(grid),
        columns=COLUMNS,
        shown=shown,
        scores=scores,
        corrected=COLUMNS.index("chance-corrected") in shown,
        written=COLUMNS.index("capped") in shown,
        anytime=any(task.anytime for task in scores),
        header=header,
        rows=rows,
        dashes=any(NOT_MEASURED in row for row in rows),
        notes=missing_notes(records),
        has_control=CONTROL in grid.criteria,
        measured=measured_rows(grid),
        settings=setting_rows(records, settings),
        csv=data_link(records),
        n_records=len(records),
    )
    _write(path, page)


def data_link(records: Sequence[Record]) -> str:
    """The records as a CSV file in a `data:` link; settings are JSON, items joined by spaces."""
    columns = [
        *("cell", "model", "criterion", "asked", "width", "expansion_ratio", "quantity", "unit"),
        *("value", "standard_error", "n", "floor", "floor_kind", "higher_is_better", "reason"),
        *("duration_sec", "settings", "items"),
    ]
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    for record in records:
        items = " ".join(f"{item:g}" for item in record.items)
        settings = json.dumps(record.settings)
        writer.writerow([*(getattr(record, column) for column in columns[:-2]), settings, items])
    return "data:text/csv;base64," + base64.b64encode(buffer.getvalue().encode()).decode()


def _quality_figures(grid: Grid, judged: Judgements) -> list[dict[str, str]]:
    drawn, axes = [], []
    for index, quantity in enumerate(grid.quality):
        column = grid.column(quantity)
        figure, ax = figures.panel()
        figures.plot_quality(column, ax)
        if grid.sample(quantity).unit == "accuracy":
            axes.append(ax)
        drawn.append((figure, quantity, column, f"quality-{index}"))
    figures.share_limits(axes)
    return [
        {
            "svg": figures.to_svg(
                figure,
                name=name,
                title=f"{quantity} against expansion ratio",
                description=_in_words(grid, quantity, judged),
            ),
            "caption": _caption(column, grid.sample(quantity)),
            "csv": data_link(column),
            "file": f"{_slug(quantity)}.csv",
        }
        for figure, quantity, column, name in drawn
    ]


def _cost_figures(grid: Grid) -> list[dict[str, str]]:
    wanted: list[tuple[str, tuple[Record, ...]]] = []
    sizes = tuple(record for quantity in grid.sizes for record in grid.column(quantity))
    dense = {record.quantity for record in sizes if record.criterion is None and record.value}
    if sizes and dense == set(grid.sizes):
        wanted.append(("size", sizes))
    timed = [q for q in grid.speeds if any(not r.criterion and r.value for r in grid.column(q))]
    wanted += [(quantity, grid.column(quantity)) for quantity in timed]
    drawn = []
    for index, (name, column) in enumerate(wanted):
        figure, ax = figures.panel()
        (figures.plot_size if name == "size" else figures.plot_speed)(column, ax)
        words = "; ".join(_in_words(grid, q, {}) for q in dict.fromkeys(r.quantity for r in column))
        svg = figures.to_svg(
            figure,
            name=f"cost-{index}",
            title=f"{name} against expansion ratio, times dense",
            description=words,
        )
        caption = "Exact counts." if name == "size" else _caption(column, None)
        drawn.append(
            {"svg": svg, "caption": caption, "csv": data_link(column), "file": f"{_slug(name)}.csv"}
        )
    return drawn


def _caption(column: Sequence[Record], scored: Record | None) -> str:
    """Items, floor of what is `scored`, and gaps of one figure."""
    said = [f"n = {counted(column)}", *([floor_text(scored)] if scored else [])]
    gaps = [network_of(r).label for r in column if r.value is None]
    if gaps:
        said.append(f"missing: {', '.join(gaps)} (reasons under the table)")
    return "; ".join(said)


def _in_words(grid: Grid, quantity: str, judged: Judgements) -> str:
    """Every point of a figure, for those who hear the page."""
    said = []
    for network in grid.networks:
        record = grid.cells.get((network, quantity))
        if record is None:
            continue
        score = estimate_of(record)
        if score is None:
            said.append(f"{network.label} missing")
            continue
        text = f"{network.label} {with_error(score, record.unit)}"
        found = judged.get((network, quantity))
        said.append(f"{text}, {found.word}" if found else text)
    return f"{quantity}: {'; '.join(said)}."


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9_]+", "-", name.lower())


def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html")


def _write(path: Path, text: str) -> None:
    temporary: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf8", dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as file:
            temporary = Path(file.name)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write the report {path}: {error.strerror}") from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
