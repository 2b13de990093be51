"""One self-contained page, figures, table and sentences, drawn from records and nothing else."""

from .figures import CRITERION_STYLE, Style, plot_quality, plot_size, plot_speed
from .page import write_page
from .summary import answer
from .table import missing_notes, table_rows

__all__ = [
    "CRITERION_STYLE",
    "Style",
    "answer",
    "missing_notes",
    "plot_quality",
    "plot_size",
    "plot_speed",
    "table_rows",
    "write_page",
]
