"""Runs: jobs done in this process, by one worker process a device, or on a Ray cluster."""

from .folder import RECORDS, SETTINGS, agreed_settings, locked_folder, settings_in, write_settings
from .in_process import Here
from .processes import Local
from .protocol import (
    Again,
    Begun,
    Done,
    Engine,
    Event,
    Failed,
    Job,
    MakeWorker,
    OnShare,
    Shared,
    Worker,
)
from .ray_executor import OnRay
from .result_lines import append_line, read_lines, write_lines

__all__ = [
    "RECORDS",
    "SETTINGS",
    "Again",
    "Begun",
    "Done",
    "Engine",
    "Event",
    "Failed",
    "Here",
    "Job",
    "Local",
    "MakeWorker",
    "OnRay",
    "OnShare",
    "Shared",
    "Worker",
    "agreed_settings",
    "append_line",
    "locked_folder",
    "read_lines",
    "settings_in",
    "write_lines",
    "write_settings",
]
