"""What a checkpoint says of its refit, and whether its weights are those that were refitted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import CheckpointError
from ...io import from_plain
from ..refit_result import CalibrationSource, ScaleTuning, TextLoss
from ..weights import CHUNK_BYTES, down_rows
from .reader import Checkpoint, read_json

if TYPE_CHECKING:
    from torch import Tensor

    from ..refit_result import Refit

REFIT_FILE = "widthwise_refit.json"
FORMAT = 1


@dataclass(frozen=True, kw_only=True)
class RefittedLayer:
    """One layer of the record: as in `LayerFit`, and the sha256 of its down_proj as float32.

    Of a mixture of experts it is one group of neurons.
    """

    lam: float
    fit_error: float
    held_out_error: float
    sha256: str
    tokens: int | None = field(default=None, metadata={"added_later": True})


@dataclass(frozen=True, kw_only=True)
class RefitRecord:
    """The record in the folder of a refitted checkpoint, as JSON.

    Attributes:
        format: Version of this layout.
        plan: Digest of the plan.
        criterion: How neurons were chosen.
        sequential: Whether each layer was fitted behind the layers that were already cut.
        calibration: The calibration text.
        layers: How well each layer was fitted, and its weight.
        losses: What all of the cut loses on each text.
        scales: How scales of rows were found; None where nothing was scaled.

    Raises:
        ValueError: Another format.
    """

    format: int = FORMAT
    plan: str
    criterion: str
    sequential: bool
    calibration: tuple[CalibrationSource, ...]
    layers: tuple[RefittedLayer, ...]
    losses: tuple[TextLoss, ...] = field(default=(), metadata={"added_later": True})
    scales: ScaleTuning | None = field(default=None, metadata={"added_later": True})

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise ValueError(f"its format must be {FORMAT}; got {self.format!r}")


def describe(refit: Refit, dtype: Any = None) -> RefitRecord:
    """The record of a refit whose weights are stored in a torch dtype; None for their own."""
    layers = (
        RefittedLayer(
            lam=fit.lam,
            fit_error=fit.fit_error,
            held_out_error=fit.held_out_error,
            sha256=_digest([down.to(dtype or down.dtype)]),
            tokens=fit.tokens,
        )
        for fit, down in zip(refit.layers, refit.down, strict=True)
    )
    return RefitRecord(
        plan=refit.plan.digest,
        criterion=refit.plan.criterion,
        sequential=refit.sequential,
        calibration=refit.parts,
        layers=tuple(layers),
        losses=refit.losses,
        scales=refit.scales,
    )


def plain(record: RefitRecord) -> dict[str, Any]:
    """A record as JSON takes it; tokens of experts alone, other things where there are any."""
    data = asdict(record)
    if not record.losses:
        del data["losses"]
    if record.scales is None:
        del data["scales"]
    for layer in data["layers"]:
        if layer["tokens"] is None:
            del layer["tokens"]
    return data


def read_refit_record(folder: Path) -> RefitRecord | None:
    """The record in a checkpoint folder; None where there is none.

    Raises:
        CheckpointError: It cannot be read.
    """
    path = folder / REFIT_FILE
    if not path.exists():
        return None
    try:
        record: RefitRecord = from_plain(RefitRecord, read_json(path), "the record")
    except (ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path}: cannot be read as the record of a refit: {error}"
        ) from error
    return record


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
    record = read_refit_record(checkpoint.path)
    if record is None:
        return None
    expected = [layer.sha256 for layer in record.layers]
    result = [_digest(_rows(checkpoint, i)) for i in range(len(checkpoint.architecture.groups))]
    odd = [str(i) for i, (a, b) in enumerate(zip(expected, result, strict=False)) if a != b]
    if len(expected) != len(result):
        reason = f"it is of {len(expected)} layers, the model has {len(result)}"
    elif odd:
        reason = (
            f"down_proj of {len(odd)} of {len(result)} layers ({', '.join(odd[:4])}"
            f"{' ...' if len(odd) > 4 else ''}) is not the refitted one: the weights were changed "
            "after the refit, or never had it"
        )
    else:
        return {**plain(record), "verified": True}
    return {**plain(record), "verified": False, "reason": reason}


def _rows(checkpoint: Checkpoint, layer: int) -> Iterable[Tensor]:
    """The weight of a layer's down_proj without its padding, a few megabytes at a time.

    With it, where it is not zero: then it is none.
    """
    if not checkpoint.architecture.is_uniform:
        yield down_rows(checkpoint, layer)
        return
    name, width = checkpoint.architecture.groups[layer].down, checkpoint.widths[layer]
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
