"""Pages of runs that are no studies: one kind of line, one page."""

from .kinds import RUNS, runs_in
from .page import write_run_report

__all__ = ["RUNS", "runs_in", "write_run_report"]
