"""Who does the jobs of a study: this process, one worker per device, or a Ray cluster."""

from .base import (
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
from .here import Here
from .local import Local
from .on_ray import OnRay

__all__ = [
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
]
