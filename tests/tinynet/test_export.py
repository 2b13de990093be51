"""Networks as files: what is missing or damaged is named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from widthwise.errors import CheckpointError, RunError
from widthwise.tinynet import (
    Multipliers,
    NetworkSpec,
    load_net,
    write_net,
)


def test_without_onnx_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    net = NetworkSpec(
        title="x",
        family="efficientnet-small",
        scale=Multipliers(resolution=0.25, depth=0.1, width=0.1),
        classes=2,
    )
    with pytest.raises(RunError, match=r"pip install 'widthwise\[tinynet\]'"):
        write_net(tmp_path, net, net.build(seed=0), weights="new", onnx=True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "does not describe"),
        ("[]", "does not describe"),
        ('{"title": "x", "family": "vgg", "scale": {}, "classes": 2}', "does not describe"),
        ('{"title": "x", "family": "resnet18", "scale": {"width": 1}, "classes": 2}', "describe"),
    ],
)
def test_a_damaged_description_is_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=said):
        load_net(tmp_path)
