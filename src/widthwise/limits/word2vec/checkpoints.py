"""A network on disk, whole or absent: matrices and what a run needs to go on, as safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import OutputError, RunError
from ...io import replace_file
from .networks import Network

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "widthwise word2vec 1"


def save(path: Path, network: Network, facts: Mapping[str, Any]) -> None:
    """Replace a checkpoint by a new one: written beside it, forced to disk, renamed.

    Args:
        path: The file, which one process writes at a time.
        network: Its matrices are written as they lie in memory, without a copy.
        facts: What else is needed, as JSON.

    Raises:
        OutputError: It cannot be written; the one before is still there.
    """
    tensors = {"embeddings": network.embeddings, "outputs": network.outputs}
    try:
        with replace_file(path) as partial, open(partial, "wb") as file:
            file.write(_head(tensors, facts))
            for tensor in tensors.values():
                file.write(tensor.cpu().contiguous().numpy().data)
    except OSError as error:
        raise OutputError(f"{path} was not written: {error}") from error


def load(path: Path, network: Network) -> dict[str, Any] | None:
    """Read a checkpoint into a network of its shape; its facts, None where there is no file.

    Raises:
        RunError: It cannot be read, or is another network's.
    """
    import safetensors

    if not path.exists():
        return None
    try:
        with safetensors.safe_open(path, "pt") as file:
            head = file.metadata() or {}
            if head.get("format") != FORMAT:
                raise ValueError("it is no checkpoint of word2vec")
            facts: dict[str, Any] = json.loads(head["facts"])
            for name in ("embeddings", "outputs"):
                held, place = file.get_tensor(name), getattr(network, name)
                if held.shape != place.shape:
                    raise ValueError(f"its {name} are {tuple(held.shape)}")
                place.copy_(held)
    except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
        raise RunError(f"{path}: cannot be read ({error}); move it away to begin anew") from error
    return facts


def _head(tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> bytes:
    """The beginning of a safetensors file; `save_file` would copy all matrices first."""
    head: dict[str, Any] = {"__metadata__": {"format": FORMAT, "facts": json.dumps(facts)}}
    end = 0
    for name, tensor in tensors.items():
        begin, end = end, end + tensor.nbytes
        head[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
