"""What a checkpoint says of its refit, and whether its weights are those that were refitted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import CheckpointError
from ..weights import CHUNK_BYTES, down_name
from .reader import Checkpoint

if TYPE_CHECKING:
    from torch import Tensor

    from ..refit_result import Refit

REFIT_FILE = "widthwise_refit.json"
FORMAT = 1


def describe(refit: Refit, dtype: Any = None) -> dict[str, Any]:
    """The record that lies beside a refitted checkpoint, as JSON.

    Args:
        refit: What was written.
        dtype: torch dtype that its weights are stored in; None for their own.
    """
    layers = []
    for fit, down in zip(refit.layers, refit.down, strict=True):
        values = asdict(fit)
        del values["curve"]
        layers.append({**values, "sha256": _digest([down.to(dtype or down.dtype)])})
    return {
        "format": FORMAT,
        "plan": refit.plan.digest,
        "criterion": refit.plan.criterion,
        "sequential": refit.sequential,
        "calibration": [asdict(part) for part in refit.parts],
        "layers": layers,
    }


def inspect_refit(checkpoint: Checkpoint) -> dict[str, Any] | None:
    """What a checkpoint says of its refit, and whether its down_proj weights are those.

    A weight is compared by the sha256 of its values as float32, so a copy in a wider dtype is
    still the same. Reads all down_proj weights.

    Returns:
        The record with `verified` and, where it is false, `reason`; None for a checkpoint that
        says nothing of a refit.

    Raises:
        CheckpointError: The record cannot be read.
    """
    path = checkpoint.path / REFIT_FILE
    if not path.exists():
        return None
    record = _read(path)
    said = [layer["sha256"] for layer in record["layers"]]
    found = [_digest(_rows(checkpoint, i)) for i in range(checkpoint.architecture.layers)]
    odd = [str(i) for i, (a, b) in enumerate(zip(said, found, strict=False)) if a != b]
    if len(said) != len(found):
        reason = f"it is of {len(said)} layers, the model has {len(found)}"
    elif odd:
        reason = (
            f"down_proj of {len(odd)} of {len(found)} layers ({', '.join(odd[:4])}"
            f"{' ...' if len(odd) > 4 else ''}) is not the refitted one: the weights were changed "
            "after the refit, or never had it"
        )
    else:
        return {**record, "verified": True}
    return {**record, "verified": False, "reason": reason}


def _read(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf8"))
        if record["format"] != FORMAT:
            raise CheckpointError(f"{path}: its format must be {FORMAT}; got {record['format']!r}")
        if not all(isinstance(layer["sha256"], str) for layer in record["layers"]):
            raise TypeError("a layer without sha256")
    except CheckpointError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as the record of a refit: {error}"
        ) from error
    return dict(record)


def _rows(checkpoint: Checkpoint, layer: int) -> Iterable[Tensor]:
    """The weight of a layer's down_proj without its padding, a few megabytes at a time.

    With it, where it is not zero: then it is none.
    """
    name, width = down_name(checkpoint, layer), checkpoint.widths[layer]
    rows, columns = checkpoint.tensors[name].spec.shape
    step = max(1, CHUNK_BYTES // (4 * columns))
    for start in range(0, rows, step):
        weight = checkpoint.rows(name, start, min(start + step, rows))
        yield weight if weight[:, width:].any() else weight[:, :width]


def _digest(parts: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.float().contiguous().numpy().data)
    return digest.hexdigest()
