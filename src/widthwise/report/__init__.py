"""One self-contained page, figures, table and sentences, drawn from records and nothing else."""

from .cost_figures import plot_cost, plot_size, plot_speed
from .cost_table import COST_COLUMNS, cost_key, cost_tables, is_cost_record
from .distance_table import DISTANCE_KEY, FROM_DENSE, distance_table
from .distillation_figure import draw_healing
from .figures import plot_front, plot_qualities, plot_quality
from .network_table import missing_notes, network_rows
from .notebook import StudyView, open_study
from .page import Block, Page, Section, Sheet, provenance_section, write_whole
from .paired_table import paired_table
from .provenance import format_value, join_values
from .score_table import (
    BESIDE_CONTROL,
    CHANCE_CORRECTED,
    COLUMNS,
    P_VALUE,
    TaskScores,
    nonempty_columns,
    score_tables,
)
from .study_page import write_page, write_report
from .study_values import study_values
from .styles import CRITERION_STYLE, Style
from .svg import standalone_svg_uri, to_svg
from .texts_section import written_section

__all__ = [
    "BESIDE_CONTROL",
    "CHANCE_CORRECTED",
    "COLUMNS",
    "COST_COLUMNS",
    "CRITERION_STYLE",
    "DISTANCE_KEY",
    "FROM_DENSE",
    "P_VALUE",
    "Block",
    "Page",
    "Section",
    "Sheet",
    "StudyView",
    "Style",
    "TaskScores",
    "cost_key",
    "cost_tables",
    "distance_table",
    "draw_healing",
    "format_value",
    "is_cost_record",
    "join_values",
    "missing_notes",
    "network_rows",
    "nonempty_columns",
    "open_study",
    "paired_table",
    "plot_cost",
    "plot_front",
    "plot_qualities",
    "plot_quality",
    "plot_size",
    "plot_speed",
    "provenance_section",
    "score_tables",
    "standalone_svg_uri",
    "study_values",
    "to_svg",
    "write_page",
    "write_report",
    "write_whole",
    "written_section",
]
