"""One self-contained page, figures, table and sentences, drawn from records and nothing else."""

from .figures import CRITERION_STYLE, Style, plot_quality, plot_size, plot_speed
from .page import write_page
from .scores import COLUMNS, TaskScores, filled, score_tables
from .summary import answer
from .table import missing_notes, network_rows, number

__all__ = [
    "COLUMNS",
    "CRITERION_STYLE",
    "Style",
    "TaskScores",
    "answer",
    "filled",
    "missing_notes",
    "network_rows",
    "number",
    "plot_quality",
    "plot_size",
    "plot_speed",
    "score_tables",
    "write_page",
]
