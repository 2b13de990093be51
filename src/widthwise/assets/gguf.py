"""A GGUF file as a checkpoint of transformers, written tensor by tensor."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from ..io import new_once, stream_safetensors, tensor_bytes
from .gguf_config import parsed_once, refused_by_name
from .gguf_file import checked_reader
from .gguf_head import TENSORS, write_head
from .gguf_weights import GgufWeights

if TYPE_CHECKING:
    import torch

CONVERSION = 2  # raised when the same file is converted to something else
WEIGHTS = "model.safetensors"
_CHUNK_BYTES = 4 * 2**20


def convert_gguf(path: Path, out: Path, dtype: str | torch.dtype) -> None:
    """Convert a single GGUF file, quantized or not, to a safetensors checkpoint folder.

    The folder holds weights, config, tokenizer and chat template, and appears whole or not at all.
    What the file states of its network and transformers' reader drops (scaled rotations, biases,
    ends of turns) is in the config; what no config can state is refused.

    Args:
        path: The GGUF file.
        out: Folder to make; must not exist.
        dtype: Storage type of the weights, `"bfloat16"`, `"float16"` or `"float32"`.

    Raises:
        CheckpointError: Not a GGUF file, or a truncated one.
        UnsupportedModelError: An architecture that transformers cannot read, a split file, or a key
            or a tensor that the converted model could not honour.
        OutputError: `out` exists, or its parent cannot be written.

    Cost: a few megabytes of weights are in memory at a time, and of a family whose tensors are
    transposed the largest tensor.
    """
    reader = checked_reader(path)
    with new_once(out) as fill:
        if fill is None:
            raise OutputError(f"{out} already exists; choose another folder")
        write_head(path, reader, fill, dtype)
        write_tokenizer(path, reader, fill, longest_text(fill))
        write_weights(GgufWeights(path, reader, fill, str(dtype).removeprefix("torch.")), fill)
        (fill / TENSORS).unlink()


def write_tokenizer(path: Path, reader: Any, folder: Path, longest: int) -> None:
    """Write the tokenizer of a file and its chat template.

    Args:
        path: The file.
        reader: gguf's reader of it.
        folder: Where to write.
        longest: Tokens of the longest text, which the file states for its network.

    Raises:
        UnsupportedModelError: transformers cannot read it.
    """
    from transformers import AutoTokenizer

    with refused_by_name(path), parsed_once(reader):
        tokenizer: Any = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    tokenizer.model_max_length = longest  # GGUF leaves 1e30
    for key in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(key, None)
    tokenizer.save_pretrained(folder)


def write_weights(weights: GgufWeights, folder: Path) -> None:
    """Write all parameters to one safetensors file, a few megabytes at a time.

    Raises:
        OutputError: They do not fit on the disk.
    """
    specs = weights.specs
    needed, free = sum(spec.nbytes for spec in specs.values()), shutil.disk_usage(folder).free
    if needed > free:
        raise OutputError(
            f"{weights.path.name} does not fit into {folder.parent.parent} as safetensors: "
            f"{needed:,} bytes are needed, {free:,} are free"
        )
    with stream_safetensors(folder / WEIGHTS, specs, {"format": "pt"}) as write:
        for name, spec in specs.items():
            for start, stop in spec.portions(_CHUNK_BYTES):
                write(tensor_bytes(weights.rows(name, start, stop)))
    weights.close()


def longest_text(folder: Path) -> int:
    """Tokens of the longest text by the config in a folder."""
    settings = json.loads((folder / "config.json").read_text(encoding="utf8"))
    return int(settings["max_position_embeddings"])
