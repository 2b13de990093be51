"""One self-contained page, figures, table and sentences, drawn from records and nothing else."""

from .cost_figures import plot_cost, plot_size, plot_speed
from .cost_table import COST_COLUMNS, COST_KEY, CostTable, cost_tables, is_cost_record
from .distillation_figure import draw_healing
from .experiment_page import (
    ONE_SEED,
    ExperimentPage,
    PairedDifference,
    TableSection,
    difference_sentence,
    excluded_runs,
    format_shares,
    paired_differences,
    points,
    seed_row,
    setting_rows,
    settings_conflicts,
    table_section,
    verdicts,
)
from .figures import plot_front, plot_qualities, plot_quality
from .headline import answer, load_warnings
from .html_table import text_table
from .network_table import missing_notes, network_rows
from .notebook import StudyView, open_study
from .page import rendered, write_page, write_report, write_whole
from .score_table import (
    BESIDE_CONTROL,
    CHANCE_CORRECTED,
    COLUMNS,
    TaskScores,
    nonempty_columns,
    score_tables,
)
from .styles import CRITERION_STYLE, INK, MUTED, Style
from .svg import standalone_svg_uri, to_svg

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
    "CostTable",
    "ExperimentPage",
    "PairedDifference",
    "StudyView",
    "Style",
    "TableSection",
    "TaskScores",
    "answer",
    "cost_tables",
    "difference_sentence",
    "draw_healing",
    "excluded_runs",
    "format_shares",
    "is_cost_record",
    "load_warnings",
    "missing_notes",
    "network_rows",
    "nonempty_columns",
    "open_study",
    "paired_differences",
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
    "settings_conflicts",
    "standalone_svg_uri",
    "table_section",
    "text_table",
    "to_svg",
    "verdicts",
    "write_page",
    "write_report",
    "write_whole",
]
