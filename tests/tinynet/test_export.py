"""Networks as files: what is missing or damaged is named."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from widthwise.errors import CheckpointError, OutputError, RunError
from widthwise.tinynet import (
    Multipliers,
    NetworkSpec,
    load_net,
    write_net,
)


@pytest.fixture
def net() -> NetworkSpec:
    return NetworkSpec(
        title="x",
        family="efficientnet-small",
        scale=Multipliers(resolution=0.25, depth=0.1, width=0.1),
        classes=2,
    )


def test_without_onnx_it_says_what_to_install(
    net: NetworkSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(RunError, match=r"pip install 'widthwise\[tinynet\]'"):
        write_net(tmp_path, net, net.build(seed=0), weights="new", onnx=True)


def test_the_weights_may_be_read_by_whom_the_description_may(
    net: NetworkSpec, tmp_path: Path
) -> None:
    before = os.umask(0o022)
    try:
        write_net(tmp_path, net, net.build(seed=0), weights="new")
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes == {"model.safetensors": 0o644, "config.json": 0o644}


def test_weights_that_cannot_be_written_are_an_expected_error(
    net: NetworkSpec, tmp_path: Path
) -> None:
    with pytest.raises(OutputError, match=r"model\.safetensors was not written"):
        write_net(tmp_path / "nowhere", net, net.build(seed=0), weights="new")


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
