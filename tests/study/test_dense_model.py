"""The dense model of a study: all its files count."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from sweep_runs import run, settings_of

from widthwise.errors import RunError

pytestmark = pytest.mark.demo


def test_other_weights_or_words_under_the_same_name_are_refused(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    """Whatever changed: a tensor outside the blocks, or the tokenizer."""
    model = tmp_path / "model"
    for name in ("model.safetensors", "tokenizer.json"):
        shutil.rmtree(model, ignore_errors=True)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        shutil.copytree(tiny_checkpoint, model)
        settings = settings_of(model, tasks=("embedded:piqa",), widths=())
        run(tmp_path / "out", settings)
        stored = bytearray((model / name).read_bytes())
        if name == "tokenizer.json":
            stored += b" "
        else:
            stored[-1] ^= 1
        (model / name).write_bytes(stored)
        with pytest.raises(RunError, match="was started with weights"):
            run(tmp_path / "out", settings)
