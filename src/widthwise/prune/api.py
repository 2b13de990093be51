"""The two calls that most users make: `make_plan` and `prune_checkpoint`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Unpack

from ..cut import Plan, Refit, check_plan
from ..cut.checkpoint import (
    Checkpoint,
    ModelSource,
    Progress,
    StoreOptions,
    WriteOptions,
    check_complete,
    is_gguf,
    names_folder,
    resolve_model,
    write_pruned,
)
from ..cut.gguf import GgufResult, write_pruned_gguf
from ..errors import OutputError, PlanError, RunError, UnsupportedModelError
from .calibration.activations import norms_of_text
from .calibration.second_moments import Calibration, LayerCallback
from .calibration.text import TOKENS, TextSource
from .criteria import MOMENT_CRITERIA
from .drafts import plan_drafts
from .opened_model import open_model
from .refitting.refit import moments_request, plan_by_moments
from .selection import select
from .spec import PruneOptions, PruneSpec, spec_of

if TYPE_CHECKING:
    from torch import Tensor

    from .opened_model import Model


def make_plan(
    model: Model,
    spec: PruneSpec | None = None,
    *,
    calibration: TextSource | Calibration = None,
    tokens: int = TOKENS,
    activation_norms: Mapping[int, Tensor] | None = None,
    progress: LayerCallback | None = None,
    **asked: Unpack[PruneOptions],
) -> Plan:
    """Choose the neurons that every GLU block keeps. Reads weights, changes nothing.

    Args:
        model: A `transformers` model, a checkpoint folder, a `.gguf` file, a hub id, or
            a name such as `"smollm2"`. From disk the weights are streamed.
        spec: The width and the criterion.
        calibration: Text file for `ppm_activation`; for `activation` and `obs` a result of
            `calibrate`, or its `text`. Text loads the model to run it.
        tokens: Most tokens to take of the text, for `activation` and `obs`.
        activation_norms: Result of `activation_norms` in place of `calibration`; not for `obs`.
        progress: Function that is called with each layer that is done, of `activation` and `obs`
            on text, whose layers take long; of nothing else.
        **asked: In place of `spec`, what `PruneOptions` name: `remove="40%"`,
            `criterion="activation"`.

    Raises:
        TargetError, PlanError, CheckpointError, UnsupportedModelError: as their messages say.
    """
    spec = spec_of(spec, asked, function=make_plan)
    is_named = isinstance(model, str | Path | ModelSource)
    if is_named and activation_norms is None:
        check_calibration(spec.criterion, calibration, tokens)
    if spec.criterion in MOMENT_CRITERIA and activation_norms is None:
        request = moments_request(calibration, tokens)
        with open_model(model) as opened:
            return plan_by_moments(opened, spec, request, progress)
    if calibration is not None and not isinstance(calibration, str | Path):
        raise PlanError(f"criterion {spec.criterion} takes no calibration but a text file")
    with open_model(model) as opened:
        if calibration is not None and not is_named:
            raise PlanError("calibration text is for a model on disk; pass activation_norms")
        if isinstance(opened.weights, Checkpoint):
            check_complete(opened.weights)
        if calibration is not None:
            activation_norms = norms_of_text(opened, Path(calibration))
        return select(opened.weights, spec, activation_norms)


def check_calibration(
    criterion: str, source: Calibration | TextSource, tokens: int = TOKENS
) -> None:
    """Refuse calibration text that a plan by this criterion cannot use, of a model on disk.

    Raises:
        PlanError: The criterion takes none, or must have some.
        RunError: It is not there.
    """
    if criterion in MOMENT_CRITERIA:
        moments_request(source, tokens)
    elif source is not None and not isinstance(source, str | Path):
        raise PlanError(f"criterion {criterion} takes no calibration but a text file")
    elif criterion != "ppm_activation" and source is not None:
        raise PlanError(f"criterion {criterion} looks at weights only; drop the calibration text")
    elif criterion == "ppm_activation" and source is None:
        raise PlanError(
            f"criterion {criterion} needs activation norms; pass --calibration FILE (text)"
        )
    elif source is not None and not Path(source).is_file():
        raise RunError(f"{source}: no such file of text")


def prune_checkpoint(
    model: str | Path | ModelSource,
    out: str | Path,
    plan: Plan,
    *,
    refit: Refit | Literal[False] | None = None,
    progress: Progress | None = None,
    **how: Unpack[StoreOptions],
) -> Path:
    """Write the checkpoint that `plan` describes to the folder `out`, without loading the model.

    Args:
        model: The plan's parent: a checkpoint folder, a `.gguf` file, a hub id or `"smollm2"`.
        out: Folder to make. It is whole or absent, whenever the process is killed. Of a `.gguf`
            parent also a `.gguf` file, in the types of the parent.
        plan: From `make_plan`, or loaded with `Plan.load`.
        refit: The plan's refit, whose down_proj weights are written and recorded; False for none
            where the criterion ought to have one.
        progress: Function that is called with the bytes read since the last call.
        **how: How the result is stored, as `WriteOptions` name it: `dtype`, `max_shard_size`,
            `layout`, `force`, `command`, `tie_embeddings`.

    Returns:
        The absolute path of `out`, for `AutoModelForCausalLM.from_pretrained`.

    Raises:
        PlanError, CheckpointError, OutputError, TargetError, UnsupportedModelError: as their
            messages say.
    """
    options, source = WriteOptions(**how), resolve_model(model)
    if is_gguf(Path(out)):
        return prune_gguf(source, out, plan, refit=refit, progress=progress, **how).path
    if options.tie_embeddings:
        raise OutputError(
            f"tie_embeddings is for a .gguf file, and {out} will be a folder; drop it"
        )
    with source.checkpoint as checkpoint:
        check_plan(plan, checkpoint)
        drafts = plan_drafts(checkpoint, plan)
        return write_pruned(
            checkpoint, plan, Path(out), options, refit=refit, drafts=drafts, progress=progress
        )


def check_gguf_parent(model: str | Path | ModelSource) -> None:
    """Raise UnsupportedModelError where a model is no GGUF file, before it is fetched."""
    if names_folder(model):
        name = model.name if isinstance(model, ModelSource) else model
        raise UnsupportedModelError(
            f"{name} is a checkpoint folder, and a .gguf file is cut from a .gguf file only; give "
            "-o a folder, and write that folder as a .gguf file by widthwise export"
        )


def prune_gguf(
    model: str | Path | ModelSource,
    out: str | Path,
    plan: Plan,
    *,
    refit: Refit | Literal[False] | None = None,
    progress: Progress | None = None,
    **how: Unpack[StoreOptions],
) -> GgufResult:
    """Write the GGUF file that `plan` leaves of another one; arguments as for `prune_checkpoint`.

    Raises:
        UnsupportedModelError: The parent is no GGUF file.
        PlanError, CheckpointError, OutputError: as their messages say.
    """
    check_gguf_parent(model)
    if how.get("dtype") is not None:
        raise OutputError("a .gguf file keeps the types of its parent; drop the dtype")
    source = resolve_model(model)
    assert source.gguf is not None
    with source.checkpoint as checkpoint:
        check_plan(plan, checkpoint)
        architecture = checkpoint.architecture
    return write_pruned_gguf(
        source.gguf,
        architecture,
        plan,
        Path(out),
        refit=refit,
        tie_embeddings=bool(how.get("tie_embeddings")),
        force=bool(how.get("force")),
        progress=progress,
    )
