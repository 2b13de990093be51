"""Runs: jobs done in this process, by one worker process a device, or on a Ray cluster."""

from .folder import (
    HELD,
    RECORDS,
    RESULTS,
    SETTINGS,
    STAGES,
    TRIALS,
    RunFolder,
    read_settings,
    records_in,
)
from .in_process import InProcess
from .processes import Processes
from .protocol import (
    Event,
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
from .result_lines import (
    ResultUnit,
    result_format,
    run_results,
    write_lines,
)
from .run import Run, WorkUnit
from .scheduler import Executor, MakeEngine
from .store import RecordFormat, RunStore

__all__ = [
    "HELD",
    "RECORDS",
    "RESULTS",
    "SETTINGS",
    "STAGES",
    "TRIALS",
    "Event",
    "Executor",
    "Failed",
    "Finished",
    "InProcess",
    "Job",
    "MakeEngine",
    "Processes",
    "ProgressCallback",
    "Progressed",
    "RayExecutor",
    "RecordFormat",
    "ResultUnit",
    "Retrying",
    "Run",
    "RunFolder",
    "RunStore",
    "Started",
    "WorkUnit",
    "Worker",
    "WorkerFactory",
    "read_settings",
    "records_in",
    "result_format",
    "run_results",
    "write_lines",
]
