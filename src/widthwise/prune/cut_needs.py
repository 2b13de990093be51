"""What a cut of a model on disk needs of this machine, and whether the machine has it."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from ..cut.checkpoint import ModelSource, check_free_disk, is_gguf
from ..errors import RunError
from ..io import free_bytes, process_bytes
from ..notices import notice
from ..stats import counted
from .cut_estimate import CutEstimate, CutSteps
from .opened_model import OpenedModel
from .refitting.finished_layers import LAYERS
from .selection import planned_width
from .spec import PruneSpec

_DTYPES = {2: "BF16", 4: "F32"}


def estimate_cut(
    source: ModelSource,
    spec: PruneSpec,
    tokens: int,
    *,
    out: Path | None = None,
    **steps: Unpack[CutSteps],
) -> CutEstimate:
    """What a calibrated cut of a model takes on this machine, which decides the dtype of its run.

    Args:
        source: The model.
        spec: The width and the criterion.
        tokens: Most tokens of the text.
        out: The result, with a refit; None for a plan alone.
        **steps: What is done, as `CutSteps` name it.

    Raises: as `CutEstimate.of`.
    """
    dtype, _ = OpenedModel(source).run_in
    checkpoint = source.checkpoint
    found = CutEstimate.of(
        checkpoint.architecture,
        spec,
        tokens,
        dtype=_DTYPES[dtype.itemsize],
        refitted=out is not None,
        **steps,
    )
    if out is None or not is_gguf(out):
        return found
    sizes = planned_width(source.name, checkpoint.architecture, spec)
    scaled = checkpoint.stored_bytes * found.result_bytes // sizes.parent_bytes
    return replace(found, result_bytes=scaled)


def check_disk(estimate: CutEstimate, out: Path, work: Path) -> None:
    """Raise OutputError where the disk has no room for a result and the layers beside it.

    Args:
        estimate: What is needed.
        out: The result.
        work: The folder of layers, of which some may be there from a refit that was killed.
    """
    there = sum(path.stat().st_size for path in work.glob(LAYERS))
    needed = estimate.result_bytes + max(0, estimate.kept_bytes - there)
    check_free_disk(out.parent, out, needed)


def check_memory(source: ModelSource, estimate: CutEstimate) -> None:
    """Refuse a cut that memory cannot hold for certain, and warn of one that it may not hold.

    Raises:
        RunError: Less memory is free than the weights of a layer and its sums alone take.
    """
    _, device = OpenedModel(source).run_in
    free, own = free_bytes(device), (process_bytes("VmRSS") or 0) if device == "cpu" else 0
    needed = max(estimate.least_bytes, estimate.memory_bytes - own)
    name, where = source.name, "" if device == "cpu" else f" on {device}"
    if estimate.least_bytes > free:
        raise RunError(
            f"{name}: calibrating one layer at a time needs {in_bytes(estimate.least_bytes)} of "
            f"memory{where} at least, and {in_bytes(free)} are free: end other programs, or take a "
            "machine with more memory"
        )
    if needed > free:
        notice(
            f"Warning: {name} needs about {in_bytes(needed)} of memory{where}, and "
            f"{in_bytes(free)} are free, so it may stop before the end; fewer tokens take a little "
            "less."
        )
    folder = tempfile.gettempdir()
    if estimate.state_bytes > (room := shutil.disk_usage(folder).free):
        notice(
            f"Warning: hidden states of {estimate.tokens:,} tokens need "
            f"{in_bytes(estimate.state_bytes)} in {folder}, where {in_bytes(room)} are free; set "
            "TMPDIR to a folder with more room, or take fewer tokens."
        )


def in_bytes(count: int) -> str:
    """A size in words.

    >>> in_bytes(3_140_000_000), in_bytes(43_000_000)
    ('3.1 GB', '0.04 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 95_000_000 else f"{max(count, 10**7) / 1e9:.2f} GB"


def in_minutes(seconds: float) -> str:
    """A rough time in words.

    >>> in_minutes(20), in_minutes(700), in_minutes(9000)
    ('1 minute', '12 minutes', '2.5 hours')
    """
    minutes = max(1, round(seconds / 60))
    if minutes >= 100:
        return f"{seconds / 3600:.1f} hours"
    return counted(minutes, "minute")
