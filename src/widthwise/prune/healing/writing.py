"""A healed checkpoint on disk: the files of the child, with other numbers in them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import CheckpointError, OutputError, UnsupportedModelError
from ..checkpoint import Checkpoint, new_folder
from ..checkpoint.companions import copy_companions
from ..checkpoint.read import INDEX, TORCH_DTYPES, free_disk_bytes
from ..checkpoint.write import PLAN_FILE
from ..scoring import check_finite, fingerprint
from .record import HEALING_FILE, healed_card

if TYPE_CHECKING:
    from torch import Tensor


def stored_names(checkpoint: Checkpoint, model: Any) -> dict[str, str]:
    """Name of every trained parameter to the name under which the checkpoint stores it.

    Raises:
        UnsupportedModelError: A parameter is stored under no name of its own.
    """
    aliases: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(parameter), []).append(name)
    found: dict[str, str] = {}
    for names in aliases.values():
        stored = [name for name in names if name in checkpoint.tensors]
        if not stored:
            raise UnsupportedModelError(
                f"{checkpoint.name}: parameter {names[0]} is stored under another name; load the "
                "model once with transformers and save_pretrained() it"
            )
        found |= {name: names[0] for name in stored}
    return found


def check_space(child: Checkpoint, out: Path) -> None:
    """See, before any training, that a checkpoint of the child's size fits where it is to go.

    Raises:
        OutputError: It does not.
    """
    beside = sum(file.stat().st_size for file in child.path.iterdir() if file.suffix == ".json")
    needed = sum(stored.spec.nbytes for stored in child.tensors.values()) + beside
    place = next(folder for folder in out.parents if folder.is_dir())
    if needed > (free := free_disk_bytes(place)):
        raise OutputError(f"{out}: the disk is full: {needed:,} bytes are needed, {free:,} free")


def write_healed(
    child: Checkpoint,
    out: Path,
    tensors: Mapping[str, Tensor],
    record: Mapping[str, Any],
    *,
    force: bool,
    command: str | None,
) -> None:
    """Write the child's checkpoint with trained weights, in its own dtypes and files.

    Args:
        child: The pruned checkpoint.
        out: Folder to make, whole or absent.
        tensors: What `as_stored` gave; what is not named is copied.
        record: For `widthwise_healing.json`; the fingerprint of the result is added.
        force: Replace `out` if it exists.
        command: To quote in the card.

    Raises:
        OutputError: It cannot be written.
        CheckpointError: A tensor that is not named cannot be copied.
    """
    from safetensors.torch import save_file

    files: dict[str, dict[str, Tensor]] = {}
    for name, stored in child.tensors.items():
        value = tensors[name] if name in tensors else _copied(child, name)
        files.setdefault(stored.file.name, {})[name] = value
    with new_folder(out, force=force) as folder:
        needed, free = sum(s.spec.nbytes for s in child.tensors.values()), free_disk_bytes(folder)
        if needed > free:
            raise OutputError(
                f"{out}: the disk is full: {needed:,} bytes are needed, {free:,} are free"
            )
        for file, values in files.items():
            save_file(values, folder / file, {"format": "pt"})
        copy_companions(child.path, folder)
        for name in ("config.json", INDEX, PLAN_FILE):
            if (child.path / name).exists():
                shutil.copyfile(child.path / name, folder / name)
        with Checkpoint(folder) as written:
            whole = {**record, "fingerprint": fingerprint(written)}
        (folder / HEALING_FILE).write_text(json.dumps(whole, indent=1) + "\n", encoding="utf8")
        (folder / "README.md").write_text(
            healed_card(folder, child, whole, command), encoding="utf8"
        )


def as_stored(child: Checkpoint, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by stored name, in the dtypes that a checkpoint stores, on the CPU.

    Raises:
        CheckpointError: One is not finite in that dtype.
    """
    import torch

    found = {}
    for name, tensor in tensors.items():
        kind = getattr(torch, TORCH_DTYPES[child.tensors[name].spec.dtype])
        found[name] = tensor.detach().to("cpu", kind, copy=True).contiguous()
        check_finite(found[name], name)
    return found


def _copied(child: Checkpoint, name: str) -> Tensor:
    """A tensor of the child as it is."""
    spec = child.tensors[name].spec
    if not spec.shape:
        raise CheckpointError(f"tensor {name} has no axis; widthwise cannot copy it")
    return child.rows(name, 0, spec.shape[0])
