"""`prune`: a cut in one call, by the best method known here unless told otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

from ..arch import Architecture
from ..cut import Plan, Refit
from ..cut.checkpoint import (
    ModelSource,
    StoreOptions,
    WriteOptions,
    check_compact,
    is_gguf,
    refuse_overlap,
    resolve_model,
)
from ..cut.gguf import down_alignment
from ..errors import AssetError, OutputError, PlanError, RunError, UnsupportedModelError
from ..io import check_new_file, check_overwrite, kept_workdir
from ..notices import notice
from ..runs import MakeEngine
from .api import check_calibration, check_gguf_parent, make_plan, prune_checkpoint
from .calibration.layer_calls import WITHOUT_TEXT
from .calibration.second_moments import LayerCallback
from .calibration.text import TOKENS, TextOptions, TextRequest
from .calibration.text_mix import is_named
from .criteria import CALIBRATED, MOMENT_CRITERIA
from .cut_estimate import CutEstimate, CutSteps
from .cut_needs import check_disk, check_memory, estimate_cut
from .opened_model import open_model
from .refitting.refit import RefitOptions, least_tokens_of
from .refitting.refit import refit as make_refit
from .sensitivity import check_layers
from .sensitivity import per_layer as share_out
from .spec import PruneSpec, spec_of


@dataclass(frozen=True, kw_only=True, repr=False)
class Pruned:
    """What `prune` wrote.

    Attributes:
        path: The folder, for `AutoModelForCausalLM.from_pretrained`, or the `.gguf` file.
        plan: Which neurons stayed; printed, it tells the width and the sizes.
        refit: How well down_proj was refitted, with what is wrong with it (`warning`); None where
            it was only cut.
    """

    path: Path
    plan: Plan
    refit: Refit | None


class CutOptions(RefitOptions, total=False):
    """Keyword arguments of `prune`: the width, the criterion and the text; and what a refit is.

    Attributes:
        scales: Whether rows of the weights are scaled after a refit, as for `refit`; they are by
            default.
        per_layer: Whether each layer gets a width of its own, all together with as many parameters
            as by one width (`widthwise.per_layer`), which a refit needs. The result is a `compact`
            checkpoint.
    """

    scales: bool
    per_layer: bool


def prune(
    model: str | Path | ModelSource,
    *,
    out: str | Path,
    refit: bool | None = None,
    force: bool = False,
    command: str | None = None,
    engine: MakeEngine | None = None,
    progress: LayerCallback | None = None,
    **asked: Unpack[CutOptions],
) -> Pruned:
    """Cut a model to a width, and write the result.

    By default, neurons are chosen by `activation`, down_proj is refitted, layer after layer, and
    rows of the weights are scaled, on the embedded text:

        done = prune("smollm2", remove="20%", out="narrow")
        done = prune("smollm2", remove="20%", out="by-weights", criterion="ppm")

    `make_plan`, `refit` and `prune_checkpoint` are the same in steps, with more choices.

    Args:
        model: A checkpoint folder, a `.gguf` file, a hub id, or a name such as `"smollm2"`.
        out: Folder to make, or a `.gguf` file where the model is one, whose width is then rounded
            down to the blocks of its types. It is whole or absent, whenever the process is killed;
            the same call then goes on with the layers that were refitted, which lie beside it.
        refit: Whether down_proj is refitted on the text. By default it is where the criterion goes
            by text (`activation`, `obs`).
        force: Whether a result that is there is replaced.
        command: Command line to quote in the model card.
        engine: Workers among which the text of a refit is divided, as for `refit`.
        progress: Function that is called with each layer that is done, where layers take long.
        **asked: The width, and how neurons are chosen, as `PruneOptions` name it; the text, as
            `TextOptions` name it; and `scales` and `per_layer` (`CutOptions`).

    Raises:
        RunError: The text is too short, or the numbers do not allow a refit.
        TargetError, PlanError, CheckpointError, OutputError, UnsupportedModelError: as their
            messages say.

    Cost: of a refit as `refit`; of weights alone a pass over the files.
    """
    path, dtype = Path(out), asked.get("dtype")
    per_layer = asked.pop("per_layer", False)
    steps: CutSteps = {"scales": asked.pop("scales", True), "by_layers": per_layer}
    text: Any = {name: asked.pop(name) for name in TextOptions.__annotations__ if name in asked}  # type: ignore[misc]
    spec = spec_of(None, asked, function=prune, options=RefitOptions)
    wanted = is_refitted(spec.criterion, refit)
    how: StoreOptions = {"dtype": dtype, "force": force, "command": command}
    if per_layer:
        how["layout"] = "compact"
    WriteOptions(**how)
    if wanted:
        TextRequest(**text)  # text that is not there is refused before a model is looked for
    else:
        check_calibration(spec.criterion, text.get("text"), text.get("tokens", TOKENS))
    if per_layer:
        _check_layout(path, is_refit=wanted)
    check_out(model, path, force=force)
    source = resolve_model(model)
    refuse_overlap(source.found, path)
    if per_layer:
        check_per_layer(source)
    if is_gguf(path):
        spec = aligned_to_blocks(spec, source)
    if not wanted:
        plan = _plan(source, spec, text, progress)
        written = prune_checkpoint(source, path, plan, refit=False, **how)
        return Pruned(path=written, plan=plan, refit=None)
    text |= {"engine": engine, "progress": progress}
    return _pruned(source, path, spec, how, steps, text)


def _pruned(
    source: ModelSource,
    path: Path,
    spec: PruneSpec,
    how: StoreOptions,
    steps: CutSteps,
    asked: dict[str, Any],
) -> Pruned:
    """Refit, and write; refitted layers lie beside the result until it is there."""
    asked["tokens"] = tokens_of(source.checkpoint.architecture, asked.get("tokens"))
    tokens = asked["tokens"] if is_named(asked.get("text")) else 0  # of batches it is not known
    estimate = estimate_cut(source, spec, tokens, out=path, **steps)
    asked["scales"] = steps["scales"]
    with kept_layers(path, estimate) as work:
        with weights_advised('criterion="ppm", refit=False'):
            check_memory(source, estimate)
            done = _refit(source, spec, {**asked, "work": work}, by_layers=steps["by_layers"])
        written = prune_checkpoint(source, path, done.plan, refit=done, **how)
    return Pruned(path=written, plan=done.plan, refit=done)


def check_per_layer(source: ModelSource) -> None:
    """Raise UnsupportedModelError where the layers of a model cannot have a width each, or no such
    checkpoint of it can be stored; no weight is read."""
    check_layers(source.checkpoint.architecture)
    check_compact(source.checkpoint)


def _check_layout(out: Path, *, is_refit: bool) -> None:
    """Refuse widths by layers as a GGUF file, or without the refit by which they are chosen."""
    if is_gguf(out):
        raise OutputError(
            f"{out}: widths by layers are stored as a folder; give a folder, and export that"
        )
    if not is_refit:
        raise PlanError("widths by layers are those of refitted layers; leave the refit in")


def is_refitted(criterion: str, asked: bool | None) -> bool:
    """Whether down_proj is refitted: as asked, or where the criterion goes by text.

    >>> is_refitted("activation", None), is_refitted("ppm", None), is_refitted("ppm", True)
    (True, False, True)
    """
    return criterion in MOMENT_CRITERIA if asked is None else asked


def tokens_of(architecture: Architecture, asked: int | None = None) -> int:
    """Most tokens that a refit reads: as asked, else `TOKENS`, or more where a layer needs them."""
    if asked is not None:
        return asked
    least = least_tokens_of(architecture)
    if least > TOKENS:
        notice(
            f"{least:,} tokens of text are read instead of {TOKENS:,}, as a refit needs in each "
            f"half as many as the widest layer has neurons, {max(architecture.neurons()):,}."
        )
    return max(TOKENS, least)


def check_out(model: str | Path | ModelSource, out: Path, *, force: bool) -> None:
    """Refuse a place that a result cannot have, before the model is fetched.

    Raises:
        OutputError: It is there, or cannot be written.
        UnsupportedModelError: A GGUF file is asked for of a folder.
    """
    if is_gguf(out):
        check_gguf_parent(model)
        check_new_file(out, force=force)
    else:
        check_overwrite(out, force=force)


def aligned_to_blocks(spec: PruneSpec, source: ModelSource) -> PruneSpec:
    """The spec for a GGUF result: rounded to the blocks of its parent if no rounding is asked."""
    if source.gguf is None or spec.align is not None or spec.paper_widths:
        return spec
    return replace(spec, align=down_alignment(source.gguf))


@contextmanager
def kept_layers(out: Path, estimate: CutEstimate) -> Iterator[Path]:
    """The folder beside a result that holds its refitted layers until it is written.

    A process that was killed leaves it behind, and the next refit for the same result goes on.

    Args:
        out: The result.
        estimate: What it takes.

    Raises:
        OutputError: It cannot be made, another process makes the same result, or the disk has no
            room for the result and the layers.
    """
    whole = Path(os.path.abspath(out))
    folder = whole.with_name(f".{whole.name}.layers")
    whole.parent.mkdir(parents=True, exist_ok=True)
    check_disk(estimate, whole, folder)
    with kept_workdir(folder) as work:
        yield work


@contextmanager
def weights_advised(options: str = "--criterion ppm") -> Iterator[None]:
    """Have what stands in the way of a calibrated cut say which options need no text."""
    try:
        yield
    except (RunError, AssetError, UnsupportedModelError) as error:
        if WITHOUT_TEXT in str(error):  # which says so
            raise
        raise type(error)(
            f"{error}; to cut by weights alone, which needs no text, pass {options}"
        ) from error


def _refit(
    source: ModelSource, spec: PruneSpec, asked: dict[str, Any], *, by_layers: bool
) -> Refit:
    """The neurons and what down_proj becomes; with widths by layers the model is opened once."""
    if not by_layers:
        return make_refit(source, spec, **asked)
    read = {name: asked[name] for name in TextOptions.__annotations__ if name in asked}
    with open_model(source) as model:
        widths = share_out(model, spec, progress=asked["progress"], **read).widths
        return make_refit(model, spec, widths=widths, **asked)


def _plan(
    source: ModelSource, spec: PruneSpec, text: dict[str, Any], progress: LayerCallback | None
) -> Plan:
    """The neurons alone."""
    tokens = text.get("tokens", TOKENS)
    with weights_advised('criterion="ppm"') if spec.criterion in CALIBRATED else nullcontext():
        return make_plan(
            source, spec, calibration=text.get("text"), tokens=tokens, progress=progress
        )
