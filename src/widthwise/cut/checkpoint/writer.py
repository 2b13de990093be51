"""Cutting a checkpoint as a stream: a few megabytes of it are in memory at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...arch import (
    Architecture,
    at_widths,
    carries_drafts,
    class_width,
    refuse_half_cut,
    section_name,
    stated_width,
    text_path,
    width_key,
    without_draft_settings,
)
from ...errors import OutputError, WidthwiseError
from ...io import TORCH_DTYPES, TensorSpec, aligned, new_folder, stream_safetensors, tensor_bytes
from ...notices import notice
from ..draft_plan import DraftPlan
from ..plan import WIDTHS_KEY, Plan
from ..weights import check_refit, kept_widths, one_thread, scales_by_name
from .compact import check_compact, write_compact
from .companions import copy_companions, tell_left_out, with_code
from .lineage import PLAN_FILE
from .load import check_complete
from .model_card import Written, model_card
from .reader import INDEX, SINGLE, Checkpoint, check_free_disk, read_header
from .refit_record import REFIT_FILE, describe, plain
from .stream import BackgroundWriter, Remainder, Stream
from .write_options import WriteOptions

if TYPE_CHECKING:
    from ..refit_result import Refit

Progress = Callable[[int], None]


def write_pruned(
    checkpoint: Checkpoint,
    plan: Plan,
    out: Path,
    output: WriteOptions | None = None,
    *,
    refit: Refit | Literal[False] | None = None,
    drafts: DraftPlan | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write the pruned checkpoint to `out`, a folder for `from_pretrained`, plain unless compact.

    Args:
        checkpoint: The dense parent, opened.
        plan, out, refit, progress: As for `prune_checkpoint`; the plan is of these weights.
        output: How to write it.
        drafts: Which neurons the draft layers keep; None for a parent without.

    Returns:
        The absolute path of `out`.

    Raises:
        PlanError: The refit was made for another plan, or there ought to be one.
        CheckpointError: A tensor holds NaN or Inf, or does not fit into the dtype.
        OutputError: `out` exists, lies inside the parent, or cannot be written.
        UnsupportedModelError: No compact checkpoint can be made of the parent.

    Cost: each byte of the parent is read once; memory does not grow with layers or width.
    """
    output = output or WriteOptions()
    is_compact = checkpoint.is_compact or (output.layout == "compact" and not plan.uniform)
    _check(checkpoint, out, is_compact=is_compact)
    dtype = output.stored_dtype
    refuse_half_cut(checkpoint.config, checkpoint.architecture)
    padded_to = None if is_compact or plan.uniform else plan.width
    parts = _parts(checkpoint.architecture, plan, refit, drafts, padded_to)
    shards = _shards(_specs(checkpoint, parts, dtype), output.max_shard_bytes)
    _note_size(checkpoint, out, shards, dtype)
    with new_folder(out, force=output.force) as folder:
        check_free_disk(folder, out, _nbytes(shards))
        parent = hashlib.sha256()
        with one_thread(), BackgroundWriter(parent.update) as hashed:
            stream = Stream(checkpoint, parts, hashed, progress)
            _write_weights(folder, shards, stream)
        copy_companions(checkpoint, folder)
        config = _config(checkpoint, plan, dtype)
        _write_config(folder, checkpoint, plan, config, is_compact=is_compact)
        _write_records(folder, plan, refit or None, dtype)
        _check_written(folder, checkpoint, config, plan, shards, padded_to)
        written = Written(
            folder=folder,
            parent_hash=parent.hexdigest(),
            stored_bytes=_nbytes(shards),
            is_compact=is_compact,
            draft_criterion=drafts.criterion if drafts else "",
        )
        card = model_card(checkpoint, plan, written, output, refit or None)
        (folder / "README.md").write_text(card, encoding="utf8")
    return out.absolute()


def _check(checkpoint: Checkpoint, out: Path, *, is_compact: bool) -> None:
    """Raise before any writing where the parent or the place does not allow it."""
    check_complete(checkpoint)
    if is_compact:
        check_compact(checkpoint)
    refuse_overlap(checkpoint.path, out)
    weights = {stored.file for stored in checkpoint.stored.values()}
    tell_left_out(checkpoint.path, [*weights, *filter(None, [checkpoint.index])])


def _parts(
    was: Architecture,
    plan: Plan,
    refit: Refit | Literal[False] | None,
    drafts: DraftPlan | None,
    padded_to: int | None,
) -> list[Remainder]:
    """What stays of the model, and of its draft layers where it has any."""
    down, scales = check_refit(plan, refit), scales_by_name(was, refit)
    model = Remainder(
        architecture=was, keep=plan.keep, down=down, padded_to=padded_to, scales=scales
    )
    parts = [model]
    if was.drafts is not None:
        assert drafts is not None, "draft layers are never left out without a word"
        parts.append(Remainder(architecture=was.drafts, keep=drafts.keep))
    return parts


def _write_weights(
    folder: Path, shards: Mapping[str, Mapping[str, TensorSpec]], stream: Stream
) -> None:
    for file, specs in shards.items():
        _write_shard(folder / file, specs, stream)
    if len(shards) > 1:
        _write_json(folder / INDEX, _index(shards))


def _write_config(
    folder: Path, checkpoint: Checkpoint, plan: Plan, config: dict[str, Any], *, is_compact: bool
) -> None:
    if is_compact:
        write_compact(folder, checkpoint, plan, config)
    else:
        _write_json(folder / "config.json", config)


def _write_records(folder: Path, plan: Plan, refit: Refit | None, dtype: str | None) -> None:
    """The plan and the refit as separate files."""
    import torch

    (folder / PLAN_FILE).write_text(plan.to_json() + "\n", encoding="utf8")
    if refit:
        stored = getattr(torch, TORCH_DTYPES[dtype]) if dtype else None
        _write_json(folder / REFIT_FILE, plain(describe(refit, stored)))


def refuse_overlap(parent: Path, out: Path) -> None:
    """Raise OutputError when one of two folders lies in the other."""
    source, target = parent.resolve(), out.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise OutputError(
            f"{out} and the parent {parent} must not be inside each other; choose another -o"
        )


def _note_size(
    checkpoint: Checkpoint,
    out: Path,
    shards: Mapping[str, Mapping[str, TensorSpec]],
    dtype: str | None,
) -> None:
    """Say how large the result of a quantized parent will be, or one larger than its parent."""
    needed, before = _nbytes(shards), checkpoint.stored_bytes
    if checkpoint.quantization:
        notice(checkpoint.quantization.note_of_cut(needed, dtype))
    elif needed > before:
        kinds = {spec.dtype for specs in shards.values() for spec in specs.values()}
        words = " and ".join(sorted(TORCH_DTYPES[kind] for kind in kinds))
        notice(
            f"{out} will have {needed:,} bytes of weights in {words}, more than the {before:,} of "
            f"{checkpoint.name}."
        )


def _nbytes(shards: Mapping[str, Mapping[str, TensorSpec]]) -> int:
    return sum(spec.nbytes for specs in shards.values() for spec in specs.values())


def _specs(
    checkpoint: Checkpoint, parts: Sequence[Remainder], dtype: str | None
) -> dict[str, TensorSpec]:
    """Shape and dtype of every tensor of the result, in the order of the parent's files."""
    left = {name: part.spec(name) for part in parts for name in part.architecture.tensors}
    specs = {name: left[name] for name in checkpoint.tensors if name in left}
    return aligned(
        {n: TensorSpec(s.shape, dtype) if dtype and s.is_float else s for n, s in specs.items()}
    )


def _shards(
    specs: Mapping[str, TensorSpec], max_shard_bytes: int
) -> dict[str, dict[str, TensorSpec]]:
    """File name to the tensors in it; the names are those that transformers looks for."""
    groups: list[dict[str, TensorSpec]] = [{}]
    filled = 0
    for name, spec in specs.items():
        if groups[-1] and filled + spec.nbytes > max_shard_bytes:
            groups.append({})
            filled = 0
        groups[-1][name] = spec
        filled += spec.nbytes
    if len(groups) == 1:
        return {SINGLE: groups[0]}
    total = len(groups)
    return {f"model-{i:05}-of-{total:05}.safetensors": g for i, g in enumerate(groups, 1)}


def _index(shards: Mapping[str, Mapping[str, TensorSpec]]) -> dict[str, Any]:
    weight_map = {name: file for file, specs in shards.items() for name in specs}
    return {"metadata": {"total_size": _nbytes(shards)}, "weight_map": weight_map}


def _write_shard(path: Path, specs: Mapping[str, TensorSpec], stream: Stream) -> None:
    with stream_safetensors(path, specs, {"format": "pt"}) as add, BackgroundWriter(add) as write:
        for name, spec in specs.items():
            for chunk in stream.chunks(name, spec.dtype):
                write(tensor_bytes(chunk))


def _config(checkpoint: Checkpoint, plan: Plan, stored: str | None) -> dict[str, Any]:
    """The parent's config with the new width (and dtype, where it was changed)."""
    config = with_code(checkpoint.config, checkpoint.path)
    if not carries_drafts(checkpoint.architecture):
        config = without_draft_settings(config)
    dtype = TORCH_DTYPES[stored] if stored else None
    kinds = checkpoint.architecture.kinds
    widths = kept_widths(plan, checkpoint.architecture)
    result: dict[str, Any] = json.loads(json.dumps(at_widths(config, kinds, widths)))
    result.pop("transformers_weights", None)  # the name of a file of the parent
    text: dict[str, Any] = reduce(lambda part, key: part[key], text_path(result), result)
    text.pop(WIDTHS_KEY, None)
    if not plan.uniform:
        text[WIDTHS_KEY] = list(plan.widths)
    if dtype:
        for part in (result, text):
            part.pop("torch_dtype", None)
            part["dtype"] = dtype
    return result


def _write_json(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, indent=2) + "\n", encoding="utf8")


def _check_written(
    folder: Path,
    parent: Checkpoint,
    config: Mapping[str, Any],
    plan: Plan,
    shards: Mapping[str, Mapping[str, TensorSpec]],
    padded_to: int | None,
) -> None:
    """Read the headers and the config of a written checkpoint, and compare them with the plan.

    Raises:
        OutputError: A tensor, or the width in the config, is not that of the plan.
    """
    for file, specs in shards.items():
        stored = {name: each.spec for name, each in read_header(folder / file).items()}
        if stored != specs:
            odd = next(name for name in {**specs, **stored} if stored.get(name) != specs.get(name))
            raise OutputError(f"{file} was not written as planned: tensor {odd} differs")
    stated = (stated_width(config), class_width(config) or plan.width)
    is_by_kinds = plan.kinds or parent.architecture.kinds[0].layers
    for width in () if is_by_kinds else stated:  # of those by their tensors, which must fit
        if width != plan.width:
            raise OutputError(
                f"{section_name(config)}: {width_key(config)} would be {width!r} in the result, "
                f"whose blocks have {plan.width} neurons; nothing was written"
            )
    _check_architecture(folder, parent, plan, padded_to)


def _check_architecture(
    folder: Path, parent: Checkpoint, plan: Plan, padded_to: int | None
) -> None:
    try:
        result = Checkpoint(folder, parent.name).architecture
    except WidthwiseError as error:
        raise OutputError(f"the result would not be a whole checkpoint: {error}") from error
    was = parent.architecture
    _check_drafts(was, result)
    if (result.stacks, set(result.cuts)) != (was.stacks, set(was.cuts)):
        raise OutputError(
            f"the result would have its GLU blocks in {', '.join(result.stems)} ({result.layers} "
            f"layers), and not in {', '.join(was.stems)} ({was.layers} layers); nothing was written"
        )
    widths = [padded_to or width for width in plan.widths]
    if odd := [each for each in zip(result.neurons(), widths, strict=True) if each[0] != each[1]]:
        raise OutputError(
            f"the result would have a block of {odd[0][0]} neurons instead of {odd[0][1]}; "
            "nothing was written"
        )


def _check_drafts(was: Architecture, result: Architecture) -> None:
    if result.left_out:
        raise OutputError(
            "the draft layers of the result would contradict its config: "
            f"{result.left_out_because}; nothing was written"
        )
    before, after = ({*each.drafts.cuts} if each.drafts else set() for each in (was, result))
    if before != after:
        odd = min(before ^ after)
        raise OutputError(
            f"{odd}, a tensor of a draft layer, would follow the width in "
            f"{'the parent' if odd in before else 'the result'} only; nothing was written"
        )
