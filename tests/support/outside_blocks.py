"""GLU blocks beside a model's layers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from families import HIDDEN, WIDTH
from safetensors.torch import load_file, save_file

KEPT = 29


def add(folder: Path, tensors: Mapping[str, torch.Tensor], **settings: Any) -> None:
    """Further tensors and settings in a saved checkpoint."""
    file = folder / "model.safetensors"
    save_file({**load_file(file), **tensors}, file, {"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))


def glu(stem: str, width: int = WIDTH, hidden: int = HIDDEN) -> dict[str, torch.Tensor]:
    rows, columns = torch.ones(width, hidden), torch.ones(hidden, width)
    parts = {"gate_proj": rows, "up_proj": rows.clone(), "down_proj": columns}
    return {f"{stem}.{part}.weight": tensor for part, tensor in parts.items()}
