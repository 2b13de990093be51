"""What is asked of sweeps and studies by calibrated criteria."""

from __future__ import annotations

from typing import Any

TOKENS = 1024  # the least: 512 to fit 53 neurons, 512 held out
ASK: dict[str, Any] = {"tasks": ("embedded:piqa", "embedded:prose")}
BY: dict[str, Any] = {"criteria": ("ppm", "activation+refit", "activation"), "tokens": TOKENS}
ALL: dict[str, Any] = {**BY, "criteria": (*BY["criteria"], "ppm_activation")}
PROSE: dict[str, Any] = {"tasks": ("embedded:prose",), "widths": ("40%",), **BY}
