"""Options that say which workers share the work of a command."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from .options import Decorator, together

if TYPE_CHECKING:
    from ..runs import MakeEngine


def engine_options(workers: str) -> Decorator:
    """`--engine`, `--address` and `--workers`; `read_engine` reads them.

    Args:
        workers: Help of `--workers`.
    """
    return together(
        click.option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            help="Workers of this machine, or a Ray cluster.",
        ),
        click.option(
            "--address", help="Ray cluster. Default: RAY_ADDRESS, or a new one on this machine."
        ),
        click.option("--workers", type=click.IntRange(1, 1024), help=workers),
    )


def read_engine(
    options: Mapping[str, Any], usual: Callable[[], int] | None = None
) -> MakeEngine | None:
    """Who does the work.

    Args:
        options: Those of the command.
        usual: How many workers this machine has where no number is given; by default none, and
            the result is None.
    """
    from ..runs import Processes, RayExecutor

    address, workers = options["address"], options["workers"]
    if options["engine"] == "ray":
        return partial(RayExecutor, address=address, workers=workers)
    if address is not None:
        raise click.UsageError("--address goes with --engine ray.")
    if workers is None and usual is None:
        return None
    return partial(Processes, devices=devices_of(workers or usual()))  # type: ignore[misc]


def devices_of(workers: int) -> tuple[str, ...]:
    """One name a worker: the GPUs in turn, or the CPU."""
    count = gpus()
    return tuple(f"cuda:{number % count}" if count else "cpu" for number in range(workers))


def gpus() -> int:
    """How many GPUs this machine has."""
    import torch

    return torch.cuda.device_count()


def cores() -> int:
    """How many cores this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return there or 1
