"""What a folder holds where it has no config.json or no weights that transformers takes."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

from ...errors import CheckpointError, UnsupportedModelError, WidthwiseError

_OWN = "the format of Mistral or Meta"
_OTHER_FORMATS = {  # how files are named, and what they are
    "consolidated*.safetensors": _OWN,
    "params.json": _OWN,
    "tf_model*": "TensorFlow's format",
    "flax_model*": "Flax's format",
    "*.onnx": "ONNX",
}
_PICKLES = ("*.bin", "*.bin.index.json", "*.pth", "*.pt", "*.ckpt")
_DEPTH = 3  # of folders in which a checkpoint is looked for, as in the hub's cache
_LOOKED_AT = 10_000  # folders, lest somebody's home is searched


def no_config(path: Path) -> WidthwiseError:
    """The error for a folder without config.json: what it is, and what to name instead."""
    below = (each for each in islice(_below(path), _LOOKED_AT) if (each / "config.json").is_file())
    if result := next(below, None):
        return CheckpointError(f"{path}: no config.json, but {result} holds one: name that folder")
    nothing = f"{path}: no config.json; this is not a checkpoint folder"
    return _other(path) or CheckpointError(nothing)


def no_weights(path: Path, wanted: str) -> WidthwiseError:
    """The error for a folder that has a config.json, and no weights where they are looked for."""
    names = [file.name for file in sorted(path.glob("*.safetensors"))]
    names = [name for name in names if not name.startswith(("adapter_", "consolidated"))]
    if shards := [name for name in names if "-of-" in name]:
        others = f" and {len(shards) - 1} more are" if len(shards) > 1 else " is"
        return CheckpointError(
            f"{path}: {shards[0]}{others} there, but no model.safetensors.index.json, without "
            "which transformers does not load shards"
        )
    nothing = f"{path}: {wanted} is there"
    if names:
        return CheckpointError(
            f"{nothing}; transformers does not take {names[0]} under that name, rename it"
        )
    return _other(path) or CheckpointError(nothing)


def _other(path: Path) -> WidthwiseError | None:
    """The error that names the first file of another format, and what to do."""
    if files := sorted(path.glob("*.gguf")):
        return CheckpointError(
            f"{path}: holds no checkpoint of transformers; name the GGUF file itself, {files[0]}"
        )
    if files := [file for pattern in _PICKLES for file in sorted(path.glob(pattern))]:
        return UnsupportedModelError(
            f"{files[0]}: weights must be safetensors; load them once with transformers and "
            "save_pretrained() them"
        )
    for pattern, what in _OTHER_FORMATS.items():
        if files := sorted(path.glob(pattern)):
            return UnsupportedModelError(
                f"{files[0]}: this is {what}; take the checkpoint in the format of transformers "
                "(config.json and model.safetensors), or convert it first"
            )
    return None


def _below(path: Path) -> Iterable[Path]:
    """Folders in a folder, the nearest first."""
    level = [path]
    for _ in range(_DEPTH):
        level = [each for folder in level for each in sorted(folder.iterdir()) if each.is_dir()]
        yield from level
