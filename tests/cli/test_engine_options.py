"""`--engine`, `--address` and `--workers`: who does the work of a command."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click import UsageError
from refitted import WIDTH, run, save_sentences

from widthwise.cli import engine_options
from widthwise.cli.engine_options import devices_of, read_engine
from widthwise.runs import Processes, RayExecutor

ASKED: dict[str, Any] = {"engine": "local", "address": None, "workers": None}


def test_gpus_are_taken_in_turn_and_else_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert devices_of(2) == ("cpu", "cpu")
    monkeypatch.setattr(engine_options, "gpus", lambda: 2)
    assert devices_of(3) == ("cuda:0", "cuda:1", "cuda:0")


def test_who_is_asked_for_does_the_work() -> None:
    assert read_engine(ASKED) is None
    made: Any = read_engine(ASKED, lambda: 3)
    assert (made.func, made.keywords) == (Processes, {"devices": ("cpu",) * 3})
    made = read_engine({"engine": "ray", "address": "here:1", "workers": 2})
    assert (made.func, made.keywords) == (RayExecutor, {"address": "here:1", "workers": 2})
    assert isinstance(made, partial)
    with pytest.raises(UsageError, match="--address goes with --engine ray"):
        read_engine({**ASKED, "address": "here:1"})


@pytest.mark.long
def test_a_cut_by_two_workers_has_the_bytes_of_one_by_none(
    tiny_checkpoint: Path, tmp_path: Path
) -> None:
    text = save_sentences(tmp_path)
    how = [*WIDTH, "--calibration", text, "--tokens", "2048"]
    for name, workers in (("one", []), ("two", ["--workers", "2"])):
        result = run("prune", tiny_checkpoint, *how, *workers, "-o", tmp_path / name)
        assert result.exit_code == 0, result.output
    one, two = (tmp_path / name / "model.safetensors" for name in ("one", "two"))
    assert one.read_bytes() == two.read_bytes()


def test_workers_are_refused_where_weights_are_only_cut(tmp_path: Path) -> None:
    options = ["--remove", "20%", "--criterion", "ppm", "--workers", "2"]
    result = run("prune", "smollm2", *options, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert "--workers is for a refit, and nothing is refitted; drop it." in result.output
