"""Runs: jobs done in this process, by one worker process a device, or on a Ray cluster."""

from .folder import (
    RECORDS,
    SETTINGS,
    locked_folder,
    read_settings,
    reconcile_settings,
    write_settings,
)
from .in_process import InProcess
from .processes import Processes
from .protocol import (
    Event,
    Executor,
    Failed,
    Finished,
    Job,
    ProgressCallback,
    Progressed,
    Retrying,
    Started,
    Worker,
    WorkerFactory,
)
from .ray_executor import RayExecutor
from .result_lines import append_line, read_lines, write_lines

__all__ = [
    "RECORDS",
    "SETTINGS",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "InProcess",
    "Job",
    "Processes",
    "ProgressCallback",
    "Progressed",
    "RayExecutor",
    "Retrying",
    "Started",
    "Worker",
    "WorkerFactory",
    "append_line",
    "locked_folder",
    "read_lines",
    "read_settings",
    "reconcile_settings",
    "write_lines",
    "write_settings",
]
