"""Experiments beside studies, each in a folder: settings, training, results, figure and page."""

from .report import write_run_report
from .run_files import runs_in

__all__ = [
    "runs_in",
    "write_run_report",
]
