"""One self-contained page, figures, table and sentences, drawn from records and nothing else."""

from ..findings.changes import number
from .cost_figures import plot_cost, plot_size, plot_speed
from .costs import COST_COLUMNS, COST_KEY, CostTable, cost_tables, is_cost, milliseconds
from .figures import plot_front, plot_qualities, plot_quality
from .notebook import StudyView, open_study
from .page import write_page, write_report
from .scores import BESIDE_CONTROL, CHANCE_CORRECTED, COLUMNS, TaskScores, filled, score_tables
from .styles import CRITERION_STYLE, Style
from .summary import answer, busy_sentences
from .table import missing_notes, network_rows, with_error

__all__ = [
    "BESIDE_CONTROL",
    "CHANCE_CORRECTED",
    "COLUMNS",
    "COST_COLUMNS",
    "COST_KEY",
    "CRITERION_STYLE",
    "CostTable",
    "StudyView",
    "Style",
    "TaskScores",
    "answer",
    "busy_sentences",
    "cost_tables",
    "filled",
    "is_cost",
    "milliseconds",
    "missing_notes",
    "network_rows",
    "number",
    "open_study",
    "plot_cost",
    "plot_front",
    "plot_qualities",
    "plot_quality",
    "plot_size",
    "plot_speed",
    "score_tables",
    "with_error",
    "write_page",
    "write_report",
]
