"""Experiments beside studies, each in a folder: settings, training, results, figure and page."""

from .run_files import detect_run_file, write_run_report

__all__ = [
    "detect_run_file",
    "write_run_report",
]
