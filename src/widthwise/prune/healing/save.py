"""A healed checkpoint on disk: the files of the child, with other numbers in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...cut import check_finite, fingerprint
from ...cut.checkpoint import (
    HEALING_FILE,
    PLAN_FILE,
    Checkpoint,
    Index,
    check_free_disk,
    copy_companions,
    stored_parts,
)
from ...errors import UnsupportedModelError
from ...io import TORCH_DTYPES, TensorSpec, aligned, new_folder, stream_safetensors, tensor_bytes
from ...stats import Difference
from .record import HealingRecord, healed_card
from .settings import HealingRequest


@dataclass(frozen=True)
class Place:
    """Where a stored tensor is in memory: `index` of a parameter, all of it in most families."""

    parameter: str
    index: Index

    def of(self, tensor: Tensor) -> Tensor:
        """The stored tensor's part of its parameter, in the parameter's memory."""
        return tensor[self.index]


def stored_places(checkpoint: Checkpoint, model: Any) -> dict[str, Place]:
    """Stored name of every tensor that text trains, to its place in memory.

    All other parameters, those of towers for images and sound, are frozen, and copied as stored.

    Raises:
        UnsupportedModelError: A parameter is not put together from stored tensors.
    """
    sources = stored_parts(checkpoint)
    trained = _of_language(checkpoint, model, sources)
    aliases: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        parameter.requires_grad_(name in trained)
        aliases.setdefault(id(parameter), []).append(name)
    result: dict[str, Place] = {}
    for names in aliases.values():
        if not trained & set(names):
            continue
        parameter = model.get_parameter(names[0]).requires_grad_()
        places = {
            stored: Place(names[0], index)
            for name in names
            for stored, index in sources.get(name, {}).items()
        }
        here = parameter.detach()
        if not places or not all(_is_stored(checkpoint, n, p.of(here)) for n, p in places.items()):
            raise UnsupportedModelError(
                f"{checkpoint.name}: parameter {names[0]} is not put together from stored tensors, "
                "so that heal could not write it back; load the model once with transformers, and "
                "save it with save_pretrained(folder, save_original_format=False)"
            )
        result |= places
    return result


def _of_language(
    checkpoint: Checkpoint, model: Any, sources: Mapping[str, Mapping[str, Index]]
) -> set[str]:
    """Names in memory of the parameters that text passes: the language stack and the projection."""
    architecture = checkpoint.architecture
    cut_name = next(iter(architecture.cuts))
    inside = next((name for name, stored in sources.items() if cut_name in stored), "")
    layer = cut_name.removeprefix(architecture.stem).split(".")[1]
    stem = inside.partition(f".{layer}.")[0]
    root = stem[: stem.rfind(".") + 1]
    head = {id(each) for each in model.get_output_embeddings().parameters()}
    return {
        name
        for name, parameter in model.named_parameters(remove_duplicate=False)
        if name.startswith(root) or id(parameter) in head
    }


def _is_stored(checkpoint: Checkpoint, name: str, parameter: Tensor) -> bool:
    """Whether a parameter has the numbers of a stored tensor, by a sample of its rows."""
    rows = parameter.cpu()
    places = {0, len(rows) // 3, len(rows) // 2, len(rows) - 1} if rows.ndim else set()
    return all(
        torch.equal(checkpoint.rows(name, at, at + 1).to(rows.dtype), rows[at : at + 1])
        for at in places
    )


def check_space(child: Checkpoint, out: Path) -> None:
    """See that a checkpoint of the child's size fits where it is to go.

    Raises:
        OutputError: It does not.
    """
    companion_bytes = sum(
        file.stat().st_size for file in child.path.iterdir() if file.suffix == ".json"
    )
    needed = sum(stored.spec.nbytes for stored in child.tensors.values()) + companion_bytes
    folder = next(folder for folder in out.parents if folder.is_dir())
    check_free_disk(folder, out, needed)


def write_healed(
    child: Checkpoint,
    tensors: Mapping[str, Tensor],
    record: HealingRecord,
    gain: Difference,
    request: HealingRequest,
) -> None:
    """Write the child's checkpoint with trained weights, in its own dtypes and files.

    Args:
        child: The pruned checkpoint.
        tensors: Trained weights from `as_stored`; all other tensors are copied.
        record: The record of the healing; the fingerprint of the result is added.
        gain: Nats a token by which the divergence fell.
        request: The folder to make, whole or absent, whether it is replaced if it exists, and the
            command line to quote in the card.

    Raises:
        OutputError: It cannot be written.
    """
    files: dict[str, dict[str, TensorSpec]] = {}
    for name, stored in sorted(child.stored.items()):
        files.setdefault(stored.file.name, {})[name] = stored.spec
    with new_folder(request.out, force=request.force) as folder:
        check_space(child, request.out)
        for file, specs in files.items():
            specs = aligned(specs)
            with stream_safetensors(folder / file, specs, {"format": "pt"}) as write:
                for name in specs:
                    write(tensor_bytes(tensors[name] if name in tensors else _copied(child, name)))
        copy_companions(child, folder)
        index = [] if child.index is None else [child.index.name]
        for name in ("config.json", PLAN_FILE, *index):
            if (child.path / name).exists():
                shutil.copyfile(child.path / name, folder / name)
        with Checkpoint(folder) as written:
            record = replace(record, fingerprint=fingerprint(written))
        text = json.dumps(asdict(record), indent=1) + "\n"
        (folder / HEALING_FILE).write_text(text, encoding="utf8")
        card = healed_card(folder, child, record, gain, request.command)
        (folder / "README.md").write_text(card, encoding="utf8")


def as_stored(child: Checkpoint, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by stored name, in the dtypes that a checkpoint stores, on the CPU.

    Raises:
        CheckpointError: One is not finite in that dtype.
    """
    result = {}
    for name, tensor in tensors.items():
        kind = getattr(torch, TORCH_DTYPES[child.tensors[name].spec.dtype])
        result[name] = tensor.detach().to("cpu", kind, copy=True).contiguous()
        check_finite(result[name], name)
    return result


def _copied(child: Checkpoint, name: str) -> Tensor:
    """A tensor of the child as it is."""
    spec = child.tensors[name].spec
    return child.rows(name, 0, spec.shape[0] if spec.shape else 1).reshape(spec.shape)
