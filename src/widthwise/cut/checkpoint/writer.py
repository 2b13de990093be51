"""Cutting a checkpoint as a stream: a few megabytes of it are in memory at any time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from ...arch import Target, at_width, refuse_half_cut, text_path, without_draft_settings
from ...errors import OutputError, PlanError, TargetError
from ...io import TORCH_DTYPES, TensorSpec, aligned, new_folder, stream_safetensors, tensor_bytes
from ..plan import WIDTHS_KEY, Plan
from ..weights import check_plan, check_refit
from .compact import check_compact, write_compact
from .companions import copy_companions, with_code
from .final_check import check_written
from .lineage import PLAN_FILE
from .load import check_complete
from .model_card import model_card
from .reader import INDEX, SINGLE, Checkpoint, free_disk_bytes
from .refit_record import REFIT_FILE, describe
from .stream import BackgroundWriter, Stream

if TYPE_CHECKING:
    from ..refit_result import Refit

DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

Progress = Callable[[int], None]
Layout = Literal["padded", "compact"]


def stored_dtype(dtype: str | None) -> str | None:
    """safetensors name of `"float32"`, `"float16"` or `"bfloat16"`; None stays None."""
    if dtype is not None and dtype not in DTYPES:
        raise TargetError(f"--dtype must be one of {', '.join(DTYPES)}; got {dtype!r}")
    return DTYPES[dtype] if dtype else None


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


class StoreOptions(TypedDict, total=False):
    """Keyword arguments of `prune_checkpoint` that say how its result is stored.

    Attributes:
        dtype: `"float32"`, `"float16"` or `"bfloat16"` for the result; None keeps the parent's.
        max_shard_size: Largest weight file (`"5GB"`, the default, `"500MB"`, or bytes).
        layout: How layers of unequal widths are stored. `"padded"`, the default: zeros up to the
            widest, a plain checkpoint that costs what the widest costs. `"compact"`: each layer in
            its own size, for `from_pretrained(..., trust_remote_code=True)` only.
        force: Whether a folder that exists is replaced.
        command: Command line to quote in the model card.
    """

    dtype: str | None
    max_shard_size: str | int
    layout: Layout
    force: bool
    command: str | None


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How a result is written.

    Attributes:
        dtype: safetensors name of the dtype for all floating tensors; None keeps theirs.
        max_shard_bytes: Most bytes of tensors in a file; a larger tensor has a file of its own.
        layout, force, command: As in `StoreOptions`.
    """

    dtype: str | None = None
    max_shard_bytes: int = 5 * 10**9
    layout: Layout = "padded"
    force: bool = False
    command: str | None = None

    @classmethod
    def of(
        cls,
        *,
        dtype: str | None = None,
        max_shard_size: str | int = "5GB",
        layout: Layout = "padded",
        force: bool = False,
        command: str | None = None,
    ) -> WriteOptions:
        """The options as `StoreOptions` name them.

        Raises:
            PlanError, TargetError: One of them is none.
        """
        if layout not in ("padded", "compact"):
            raise PlanError(f"layout must be padded or compact; got {layout!r}")
        return cls(
            dtype=stored_dtype(dtype),
            max_shard_bytes=shard_limit(max_shard_size),
            layout=layout,
            force=force,
            command=command,
        )


def write_pruned(
    checkpoint: Checkpoint,
    plan: Plan,
    out: Path,
    output: WriteOptions | None = None,
    progress: Progress | None = None,
    refit: Refit | Literal[False] | None = None,
) -> Path:
    """Write the pruned checkpoint to `out`, a folder for `from_pretrained`, plain unless compact.

    Args:
        checkpoint: The dense parent, opened.
        plan: Which neurons stay.
        out: Folder to make; it is whole or absent whenever the process is killed.
        output: How to write it.
        progress: Called with the bytes read since the last call.
        refit: The plan's refit, whose down_proj weights are written and recorded; False for none
            where the criterion ought to have one.

    Returns:
        The absolute path of `out`.

    Raises:
        PlanError: The plan was made for other weights.
        CheckpointError: A tensor holds NaN or Inf, or does not fit into the dtype.
        OutputError: `out` exists, lies inside the parent, or cannot be written.
        UnsupportedModelError: No compact checkpoint can be made of the parent.

    Cost: each byte of the parent is read once; memory does not grow with layers or width.
    """
    output = output or WriteOptions()
    result = out.absolute()
    is_compact = output.layout == "compact" and not plan.uniform
    _check(checkpoint, plan, out, is_compact=is_compact)
    down = check_refit(plan, refit)
    refuse_half_cut(checkpoint.config, checkpoint.architecture)
    padded_to = None if is_compact else plan.width
    shards = _shards(_specs(checkpoint, plan, output.dtype, padded_to), output.max_shard_bytes)
    with new_folder(out, force=output.force) as folder:
        _refuse_full_disk(folder, out, shards)
        parent = hashlib.sha256()
        with BackgroundWriter(parent.update) as hashed:
            stream = Stream(checkpoint, plan, hashed, progress, down, padded_to)
            _write_weights(folder, shards, stream)
        copy_companions(checkpoint.path, folder)
        config = _config(checkpoint, plan, output.dtype)
        if is_compact:
            write_compact(folder, checkpoint, plan, config)
        else:
            _write_json(folder / "config.json", config)
        _write_records(folder, plan, refit or None, output.dtype)
        check_written(folder, checkpoint, config, plan, shards, is_plain=not is_compact)
        card = model_card(
            checkpoint,
            plan,
            parent.hexdigest(),
            folder=folder,
            stored_bytes=_nbytes(shards),
            dtype=output.dtype,
            is_compact=is_compact,
            command=output.command,
            refit=refit or None,
        )
        (folder / "README.md").write_text(card, encoding="utf8")
    return result


def _check(checkpoint: Checkpoint, plan: Plan, out: Path, *, is_compact: bool) -> None:
    """Raise before any writing where the plan, the parent or the place does not allow it."""
    check_plan(plan, checkpoint)
    check_complete(checkpoint)
    if is_compact:
        check_compact(checkpoint)
    refuse_overlap(checkpoint.path, out)


def _write_weights(
    folder: Path, shards: Mapping[str, Mapping[str, TensorSpec]], stream: Stream
) -> None:
    for file, specs in shards.items():
        _write_shard(folder / file, specs, stream)
    if len(shards) > 1:
        _write_json(folder / INDEX, _index(shards))


def _write_records(folder: Path, plan: Plan, refit: Refit | None, dtype: str | None) -> None:
    """The plan and the refit as files of their own."""
    import torch

    (folder / PLAN_FILE).write_text(plan.to_json() + "\n", encoding="utf8")
    if refit:
        stored = getattr(torch, TORCH_DTYPES[dtype]) if dtype else None
        _write_json(folder / REFIT_FILE, asdict(describe(refit, stored)))


def refuse_overlap(parent: Path, out: Path) -> None:
    """Raise OutputError when one of two folders lies in the other."""
    source, target = parent.resolve(), out.resolve()
    if source == target or source in target.parents or target in source.parents:
        raise OutputError(f"{out} and the parent {parent} must not lie in one another")


def _refuse_full_disk(folder: Path, out: Path, shards: Mapping[str, Any]) -> None:
    needed = _nbytes(shards)
    free = free_disk_bytes(folder)
    if needed > free:
        raise OutputError(
            f"{out}: the disk is full: {needed:,} bytes are needed, {free:,} are free"
        )


def _nbytes(shards: Mapping[str, Mapping[str, TensorSpec]]) -> int:
    return sum(spec.nbytes for specs in shards.values() for spec in specs.values())


def _specs(
    checkpoint: Checkpoint, plan: Plan, dtype: str | None, padded_to: int | None
) -> dict[str, TensorSpec]:
    """Shape and dtype of every tensor of the result."""
    specs, architecture = {}, checkpoint.architecture
    for name in architecture.tensors:
        cut = architecture.cuts.get(name)
        width = plan.widths[cut.layer] if cut and padded_to is None else plan.width
        spec = architecture.spec_at(name, width)
        specs[name] = TensorSpec(spec.shape, dtype) if dtype and spec.is_float else spec
    return aligned(specs)


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
    if checkpoint.architecture.left_out:
        config = without_draft_settings(config)
    dtype = TORCH_DTYPES[stored] if stored else None
    result: dict[str, Any] = json.loads(
        json.dumps(at_width(config, plan.width, plan.intermediate_size))
    )
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
