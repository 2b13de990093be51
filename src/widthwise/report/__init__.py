"""One self-contained page, figures, table and sentences, drawn from records and nothing else."""

from .cost_figures import plot_cost, plot_size, plot_speed
from .cost_table import COST_COLUMNS, COST_KEY, CostTable, cost_tables, is_cost, milliseconds
from .distillation_figure import draw_healing
from .experiment_page import (
    ONE_SEED,
    Beside,
    Part,
    RunPage,
    beside_of,
    beside_sentence,
    conflicting,
    joined,
    left_out,
    part,
    points,
    seed_row,
    setting_rows,
    shown,
    words_of,
)
from .figures import plot_front, plot_qualities, plot_quality
from .headline import answer, busy_sentences
from .html_table import text_table
from .network_table import missing_notes, network_rows, with_error
from .notebook import StudyView, open_study
from .page import rendered, write_page, write_report, write_whole
from .score_table import BESIDE_CONTROL, CHANCE_CORRECTED, COLUMNS, TaskScores, filled, score_tables
from .styles import CRITERION_STYLE, INK, MUTED, Style
from .svg import as_file, to_svg

__all__ = [
    "BESIDE_CONTROL",
    "CHANCE_CORRECTED",
    "COLUMNS",
    "COST_COLUMNS",
    "COST_KEY",
    "CRITERION_STYLE",
    "INK",
    "MUTED",
    "ONE_SEED",
    "Beside",
    "CostTable",
    "Part",
    "RunPage",
    "StudyView",
    "Style",
    "TaskScores",
    "answer",
    "as_file",
    "beside_of",
    "beside_sentence",
    "busy_sentences",
    "conflicting",
    "cost_tables",
    "draw_healing",
    "filled",
    "is_cost",
    "joined",
    "left_out",
    "milliseconds",
    "missing_notes",
    "network_rows",
    "open_study",
    "part",
    "plot_cost",
    "plot_front",
    "plot_qualities",
    "plot_quality",
    "plot_size",
    "plot_speed",
    "points",
    "rendered",
    "score_tables",
    "seed_row",
    "setting_rows",
    "shown",
    "text_table",
    "to_svg",
    "with_error",
    "words_of",
    "write_page",
    "write_report",
    "write_whole",
]
