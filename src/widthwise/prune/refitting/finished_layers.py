"""The layers of a refit that are done, each a file, so that a killed refit goes on from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from ...cut import LayerFit
from ...io import from_plain, safetensors_head, save_tensors
from ...notices import notice
from .layer_fit import GroupCut

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "widthwise refitted layer 1"
LAYERS = "layer-*.safetensors"  # the files of layers in the folder
_UNWRITTEN = (
    "{path} was not written: {error}; make room on the disk, and do the same again, which goes on "
    "with the layers that are done"
)


class FinishedLayers:
    """The layers of one refit that are done.

    Args:
        folder: A folder that is used for nothing else, and that this process holds; None keeps
            nothing on disk. What a refit of other inputs left there is removed.
        inputs: A text that is equal for refits with equal results.

    Memory: of layers on disk, what is read is mapped, and is not counted as the process's own.
    """

    def __init__(self, folder: Path | None, inputs: str) -> None:
        self._folder, self._inputs = folder, inputs
        if folder is None:
            return
        paths = sorted(folder.glob(LAYERS))
        if any(_head(path).get("inputs") != inputs for path in paths):
            notice(f"{folder} holds layers of another refit, which are removed.")
            shutil.rmtree(folder)
            folder.mkdir()
        elif paths:
            are = "layer is" if len(paths) == 1 else f"{len(paths)} layers are"
            it = "it is" if len(paths) == 1 else "they are"
            notice(f"The first {are} taken from {folder}, as {it} done.")

    def cuts(self, layer: int) -> dict[int, GroupCut] | None:
        """The groups of a layer as they were cut; None of a layer that is not done."""
        return _read(path) if (path := self._path(layer)) and path.exists() else None

    def add(self, layer: int, cuts: Mapping[int, GroupCut]) -> dict[int, GroupCut]:
        """A layer that is done; its groups, whose weights are on disk where a folder is.

        Raises:
            OutputError: It cannot be written; the layers before it are kept.
        """
        path = self._path(layer)
        if path is None:
            return dict(cuts)
        fits = {group: {**asdict(cut.fit), "curve": None} for group, cut in cuts.items()}
        head = {"format": FORMAT, "inputs": self._inputs, "fits": json.dumps(fits)}
        save_tensors(path, _tensors(cuts), head, failure=_UNWRITTEN)
        return _read(path)

    def _path(self, layer: int) -> Path | None:
        return None if self._folder is None else self._folder / f"layer-{layer:05}.safetensors"


def _head(path: Path) -> Mapping[str, str]:
    """What a file of a layer states of itself; nothing where it cannot be read."""
    head = safetensors_head(path)
    return head if head.get("format") == FORMAT else {}


def _tensors(cuts: Mapping[int, GroupCut]) -> dict[str, Tensor]:
    import torch

    tensors = {}
    for group, cut in cuts.items():
        tensors[f"{group}.keep"] = torch.tensor(cut.keep)
        tensors[f"{group}.down"] = cut.down
        tensors[f"{group}.curve"] = torch.tensor(cut.fit.curve, dtype=torch.float64)
    return tensors


def _read(path: Path) -> dict[int, GroupCut]:
    from safetensors.torch import load_file

    tensors = load_file(path)  # mapped: read when it is taken
    result = {}
    for group, fit in json.loads(_head(path)["fits"]).items():
        curve = tensors[f"{group}.curve"].tolist()
        result[int(group)] = GroupCut(
            keep=tuple(tensors[f"{group}.keep"].tolist()),
            down=tensors[f"{group}.down"],
            fit=from_plain(LayerFit, {**fit, "curve": curve}, path.name),
        )
    return result
