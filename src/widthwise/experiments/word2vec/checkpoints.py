"""A network on disk, whole or absent: matrices and what a run needs to go on, as safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import RunError
from ...io import save_tensors
from .networks import SkipGram

FORMAT = "widthwise word2vec 1"


def save(path: Path, network: SkipGram, facts: Mapping[str, Any]) -> None:
    """Replace a checkpoint by a new one: written beside it, forced to disk, renamed.

    Args:
        path: The file, which one process writes at a time.
        network: Its matrices are written as they lie in memory, without a copy.
        facts: What else is needed, as JSON.

    Raises:
        OutputError: It cannot be written; the one before is still there.
    """
    tensors = {"embeddings": network.embeddings, "outputs": network.outputs}
    save_tensors(path, tensors, {"format": FORMAT, "facts": json.dumps(facts)})


def load(path: Path, network: SkipGram) -> dict[str, Any] | None:
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
