"""Experiments beside studies, each in a folder: settings, training, results, figure and page."""

from .report import write_run_report
from .run_files import detect_run_file

__all__ = [
    "detect_run_file",
    "write_run_report",
]
