"""`widthwise inspect`: exact counts as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from command_line import run


def test_inspect_prints_exact_counts(saved: Path, llama: Any) -> None:
    result = run("inspect", saved, "--width", "9", "--context", "64")
    data = json.loads(result.stdout)
    assert data["counts"][0]["parameters"] == sum(p.numel() for p in llama.parameters())
    assert data["counts"][1]["width"] == 9
    assert data["default_alignment"] == 1
