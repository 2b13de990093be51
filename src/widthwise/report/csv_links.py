"""Rows and records as CSV files in `data:` links."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterable, Sequence
from io import StringIO
from typing import Any

from ..study import Record


def csv_data_uri(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as a CSV file in a `data:` link."""
    buffer = StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return "data:text/csv;base64," + base64.b64encode(buffer.getvalue().encode()).decode()


def data_link(records: Sequence[Record]) -> str:
    """The records as a CSV file in a `data:` link; settings are JSON, items joined by spaces."""
    columns = [
        *("cell", "model", "criterion", "asked", "width", "expansion_ratio", "quantity", "unit"),
        *("value", "standard_error", "n", "floor", "floor_kind", "floor_n", "floor_error"),
        *("higher_is_better", "reason", "duration_sec", "settings", "items", "floor_items"),
    ]
    rows: list[list[Any]] = [columns]
    for record in records:
        lists = (" ".join(f"{v:g}" for v in items) for items in (record.items, record.floor_items))
        settings = json.dumps(record.settings)
        rows.append([*(getattr(record, column) for column in columns[:-3]), settings, *lists])
    return csv_data_uri(rows)
