"""The two calls that most users make: `make_plan` and `prune_checkpoint`."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ..arch import Target
from ..cut import ModelWeights, Plan, Refit
from ..cut.checkpoint import (
    Checkpoint,
    Layout,
    Progress,
    WriteOptions,
    check_complete,
    locate,
    stored_dtype,
    write_pruned,
)
from ..errors import PlanError, TargetError
from .calibration.activations import norms_of_text
from .calibration.second_moments import Calibration, LayerCallback, TextSource
from .calibration.text import TOKENS
from .criteria import MOMENT_CRITERIA
from .refitting.refit import plan_by_moments
from .request import check_calibration_of, spec_of
from .selection import select

if TYPE_CHECKING:
    from torch import Tensor, nn


def make_plan(
    model: str | Path | nn.Module,
    *,
    to: str | float | None = None,
    remove: str | None = None,
    width: int | None = None,
    params: str | int | None = None,
    size: str | int | None = None,
    criterion: str = "ppm",
    seed: int = 0,
    align: int | None = None,
    paper_widths: bool = False,
    dtype: str | None = None,
    calibration: TextSource | Calibration = None,
    tokens: int = TOKENS,
    activation_norms: Mapping[int, Tensor] | None = None,
    progress: LayerCallback | None = None,
) -> Plan:
    """Choose the neurons that every GLU block keeps. Reads weights, changes nothing.

    Args:
        model: A `transformers` model, a checkpoint folder, a `.gguf` file, a hub id, or
            `"smollm2"` for the embedded model. From disk the weights are streamed.
        to: Expansion ratio to cut to (`"2.4x"`, I/H).
        remove: Share of neurons to remove (`"40%"`).
        width: Neurons to keep in each block.
        params: Most parameters the result may have (`"900M"`, or `"85%"` of the dense model's).
        size: Most bytes of weights it may have (`"1.7GB"`, or `"85%"` of the dense model's).
        criterion: `ppm`, `max_abs`, `vow`, `pon`, `l2`, `random`, `ppm_activation`, `activation`
            or `obs`, which needs a refit (see `refit`).
        seed: Of `random`.
        align: Round the width down to a multiple of this; None for the default of the model
            (`default_alignment`), 1 for the exact width.
        paper_widths: Width by the rule of arXiv 2512.22671 (goes with `remove`).
        dtype: The dtype that `size` is meant in, where the result will be stored in another.
        calibration: Text file for `ppm_activation`; for `activation` and `obs` a result of
            `calibrate`, or its `text`. Text loads the model to run it.
        tokens: Most tokens to take of the text, for `activation` and `obs`.
        activation_norms: Instead of `calibration`, not for `obs`: the result of
            `activation_norms`.
        progress: Called with each layer that is done, of `activation` and `obs` on text, whose
            layers take long; of nothing else.

    Raises:
        TargetError, PlanError, CheckpointError, UnsupportedModelError: as their messages say.
    """
    selection = spec_of(
        to=to, remove=remove, width=width, params=params, size=size, criterion=criterion,
        seed=seed, align=align, paper_widths=paper_widths, dtype=dtype,
    )  # fmt: skip
    if isinstance(model, str | Path) and activation_norms is None:
        check_calibration_of(criterion, calibration, tokens)
    if criterion in MOMENT_CRITERIA and activation_norms is None:
        return plan_by_moments(model, selection, calibration, tokens, progress)
    if calibration is not None and not isinstance(calibration, str | Path):
        raise PlanError(f"criterion {criterion} takes no calibration but a text file")
    if not isinstance(model, str | Path):
        if calibration is not None:
            raise PlanError("calibration text is for a model on disk; pass activation_norms")
        return select(ModelWeights(model), selection, activation_norms)
    path, name = locate(str(model))
    with Checkpoint(path, name) as checkpoint:
        check_complete(checkpoint)
        if calibration is not None:
            activation_norms = norms_of_text(checkpoint, Path(calibration))
        return select(checkpoint, selection, activation_norms)


def shard_limit(text: str | int) -> int:
    """Bytes of `"5GB"`, `"500MB"` or a plain number.

    Raises:
        TargetError: It is no such size.
    """
    limit: Target | None = None
    with suppress(TargetError):
        limit = Target("size", str(text))
    if limit is None or limit.is_share:
        raise TargetError(f"--max-shard-size must look like 5GB or 500MB; got {str(text)[:40]!r}")
    return int(limit.amount)


def prune_checkpoint(
    model: str | Path,
    out: str | Path,
    plan: Plan,
    *,
    dtype: str | None = None,
    max_shard_size: str | int = "5GB",
    layout: Layout = "padded",
    force: bool = False,
    command: str | None = None,
    progress: Progress | None = None,
    refit: Refit | Literal[False] | None = None,
) -> Path:
    """Write the checkpoint that `plan` describes to the folder `out`, without loading the model.

    Args:
        model: The plan's parent: a checkpoint folder, a `.gguf` file, a hub id or `"smollm2"`.
        out: Folder to make. It is whole or absent, whenever the process is killed.
        plan: From `make_plan`, or loaded with `Plan.load`.
        dtype: `"float32"`, `"float16"` or `"bfloat16"` for the result; None keeps the parent's.
        max_shard_size: Largest weight file (`"5GB"`, `"500MB"`, or bytes).
        layout: Of a plan with layers of unequal widths. `"padded"`: zeros up to the widest, a
            plain checkpoint that costs what the widest costs. `"compact"`: each layer in its own
            size, for `from_pretrained(..., trust_remote_code=True)` only.
        force: Replace `out` if it exists.
        command: Command line to quote in the model card.
        progress: Called with the bytes read since the last call.
        refit: The plan's refit, whose down_proj weights are written and recorded; False for none
            where the criterion ought to have one.

    Returns:
        The absolute path of `out`, for `AutoModelForCausalLM.from_pretrained`.

    Raises:
        PlanError, CheckpointError, OutputError, TargetError, UnsupportedModelError: as their
            messages say.
    """
    if layout not in ("padded", "compact"):
        raise PlanError(f"layout must be padded or compact; got {layout!r}")
    shard_bytes = shard_limit(max_shard_size)
    path, name = locate(str(model))
    with Checkpoint(path, name) as checkpoint:
        return write_pruned(
            checkpoint,
            plan,
            Path(out),
            WriteOptions(
                dtype=stored_dtype(dtype),
                max_shard_bytes=shard_bytes,
                layout=layout,
                force=force,
                command=command,
            ),
            progress,
            refit,
        )
