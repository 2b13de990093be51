"""`widthwise plan`: what it says of a GGUF file."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest
from command_line import run
from json_results import printed_json
from tiny_gguf import requantized, save_llama


def test_a_plan_says_where_a_gguf_result_would_be_narrower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    tiny_gguf = save_llama(tmp_path / "tiny.gguf", 96)
    small = requantized(tiny_gguf, tmp_path / "small.gguf", gguf.GGMLQuantizationType.Q8_0)
    note = "prune -o FILE.gguf rounds the width down to a multiple of 32"
    assert note in run("plan", small, "--width", "72").stderr
    printed = printed_json("plan", run("plan", small, "--width", "72", "--json"))
    assert (printed["width"], printed["intermediate_size"]) == (72, 96)
    plan = run("plan", small, "--width", "72", "--align", "32")
    assert note not in plan.stderr
    assert note not in run("plan", tiny_gguf, "--width", "40").stderr  # float has no blocks
    result = run("prune", small, "--criterion", "ppm", "--width", "72", "-o", tmp_path / "out.gguf")
    assert "got    width 64 of" in result.stderr
    assert plan.stdout.splitlines()[-1] in result.stderr  # the same neurons
