"""The page: one HTML file with everything in it, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..findings import build_grid
from ..io import write_text
from ..study import Record, StoredStudy
from .model_results import model_results, results_of
from .panels import csv_data_uri
from .study_page import build_page

_HERE = Path(__file__).parent


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
    grid = build_grid(records)
    write_whole(path, _rendered(build_page([model_results(records, grid.model, settings)], title)))


def write_report(studies: Sequence[StoredStudy], path: Path) -> None:
    """Write the report of stored studies, side by side if there are several.

    Records that contradict each other are left out, and the page says so.

    Args:
        studies: As `read_study` reads them; their records may be of several models.
        path: The HTML file; its folder must exist.

    Raises:
        OutputError: The file cannot be written.
    """
    series = results_of(studies)
    write_whole(path, _rendered(build_page(series, _title(studies))))


def data_link(records: Sequence[Record]) -> str:
    """The records as a CSV file in a `data:` link; settings are JSON, items joined by spaces."""
    columns = [
        *("cell", "model", "criterion", "asked", "width", "expansion_ratio", "quantity", "unit"),
        *("value", "standard_error", "n", "floor", "floor_kind", "floor_n", "floor_error"),
        *("higher_is_better", "reason", "duration_sec", "settings", "items", "floor_items"),
    ]
    rows: list[list[Any]] = [columns]
    for record in records:
        lists = (" ".join(f"{v:g}" for v in found) for found in (record.items, record.floor_items))
        settings = json.dumps(record.settings)
        rows.append([*(getattr(record, column) for column in columns[:-3]), settings, *lists])
    return csv_data_uri(rows)


def _title(studies: Sequence[StoredStudy]) -> str:
    models = list(dict.fromkeys(record.model for study in studies for record in study.records))
    names = [Path(model).name for model in models]
    if len(studies) > 1 and len(names) == 1:
        return f"{names[0]}: {' and '.join(study.name for study in studies)}"
    return f"How wide should {' and '.join(names)} be?"


def _rendered(content: Mapping[str, Any]) -> str:
    records = [record for one in content["series"] for record in one.records]
    return rendered("page.html", csv=data_link(records), n_records=len(records), **content)


def rendered(template: str, **content: Any) -> str:
    """A page of the house: the template filled in, with style and script in it."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    own = {name: (_HERE / f"page.{name}").read_text(encoding="utf8") for name in ("css", "js")}
    return environment.get_template(template).render(**content, **own)


def write_whole(path: Path, text: str) -> None:
    """Write a page, whole or not at all.

    Raises:
        OutputError: The file cannot be written.
    """
    write_text(path, text, failure="cannot write the report {path}: {error.strerror}")
