"""One self-contained page, figures, table and sentences, drawn from records and nothing else."""

from .costs import COST_COLUMNS, CostTable, cost_tables, milliseconds
from .figures import CRITERION_STYLE, Style, plot_quality, plot_size, plot_speed
from .page import write_page
from .scores import BESIDE_CONTROL, COLUMNS, TaskScores, filled, score_tables
from .summary import answer
from .table import missing_notes, network_rows, number

__all__ = [
    "BESIDE_CONTROL",
    "COLUMNS",
    "COST_COLUMNS",
    "CRITERION_STYLE",
    "CostTable",
    "Style",
    "TaskScores",
    "answer",
    "cost_tables",
    "filled",
    "milliseconds",
    "missing_notes",
    "network_rows",
    "number",
    "plot_quality",
    "plot_size",
    "plot_speed",
    "score_tables",
    "write_page",
]
