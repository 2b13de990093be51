"""A model of the hub: of its weights, only the files from which transformers would load it."""

from __future__ import annotations

import glob
from collections.abc import Iterable
from pathlib import Path

from ...errors import CheckpointError
from .reader import read_json, weight_files

_NO_WEIGHTS = (
    *("*.json", "*.jinja", "*.txt", "*.model", "*.spm", "*.tiktoken", "*.py", "*.md"),
    *("LICENSE*", "NOTICE*"),
)


def hub_folder(model: str) -> Path:
    """Folder in the cache of huggingface_hub, which holds what a checkpoint needs and no more.

    The config and the index come first. Then follows the one file of weights, or the shards that
    the index names: weights in other formats, and copies beside them, stay where they are.

    Args:
        model: `"org/name"`, or `"org/name@revision"`.

    Raises:
        CheckpointError: There is no such model, or it cannot be downloaded.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    name, _, revision = model.partition("@")
    try:
        folder = _fetched(name, revision or None, _NO_WEIGHTS)
        # By the commit, lest the branch moves between two downloads.
        config = folder / "config.json"
        first, index = weight_files(read_json(config) if config.exists() else {})
        _fetched(name, folder.name, [glob.escape(first)])
        if first == index or not (folder / first).exists():
            _fetched(name, folder.name, map(glob.escape, _named(folder / index)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise CheckpointError(
            f"{model}: there is no such folder, and it cannot be downloaded from the hub: {cause}"
        ) from error
    return folder


def _fetched(name: str, revision: str | None, patterns: Iterable[str]) -> Path:
    from huggingface_hub import snapshot_download

    wanted = ["config.json", *patterns]  # one that is always there, or the hub's client warns
    return Path(snapshot_download(name, revision=revision, allow_patterns=wanted))


def _named(index: Path) -> set[str]:
    """The files that an index names; whoever reads it says what is wrong with it."""
    is_index = index.name.endswith(".index.json") and index.exists()
    weight_map = read_json(index).get("weight_map") if is_index else None
    return set(map(str, weight_map.values())) if isinstance(weight_map, dict) else set()
