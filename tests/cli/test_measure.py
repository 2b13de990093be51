"""`widthwise measure`: tables, records, and one line where something is wrong."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from json_results import printed_json
from llama_bench import two_files
from safetensors.torch import load_file, save_file

from widthwise.cli import main

pytestmark = pytest.mark.usefixtures("quick_ceilings")


def run(*words: Any) -> Result:
    return CliRunner().invoke(main, ["measure", *(str(word) for word in words)])


def test_a_folder_is_the_same_with_a_slash(tiny_checkpoint: Path, tmp_path: Path) -> None:
    words = ("--workload", "3x1", "--device", "cpu:0", "--no-table", "-o", tmp_path / "out")
    first, again = run(tiny_checkpoint, *words), run(f"{tiny_checkpoint}/", *words)
    assert (first.exit_code, again.exit_code) == (0, 0), again.output


def test_the_command_prints_a_table_a_workload(tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ("--around", 30, "--workload", "3x4,2x1x2", "--device", "cpu", "--dtype", "float32")
    result = run(tiny_checkpoint, *words, "-o", out)
    assert result.exit_code == 0, result.output
    assert "3x4x1: 1 prompt of 3 tokens, 4 new tokens each, batch 1" in result.stdout
    assert "2x1x2: 2 prompts of 2 tokens, 1 new token each, batch 2" in result.stdout
    assert re.search(
        r"attention (sdpa|sdpa, grouped|eager), \d+ threads?, steps called", result.stdout
    )
    assert result.stdout.count("ppm 28") == 2
    again = run(tiny_checkpoint, *words, "-o", out, "--no-table")
    assert again.stdout == f"records: {out / 'records.jsonl'}\n"
    (model,) = printed_json("measure", run(tiny_checkpoint, *words, "-o", out, "--json"))["models"]
    times = [each for each in model["records"] if each["quantity"] == "3x4x1 ttft"]
    assert [each["ratio"] is None for each in times] == [True] + [False] * (len(times) - 1)
    low, high = times[1]["ratio"]["interval"]
    assert low <= times[1]["ratio"]["value"] <= high
    widths = {
        json.loads(line)["width"] for line in (out / "records.jsonl").read_text().splitlines()
    }
    assert widths == {16, 24, 28, 30, 32, 53}  # 64 and 128 are beyond the model


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--workload", "9y9"], 1, "a workload must be PROMPTxNEW"),
        (["--workload", ""], 1, "one workload"),
        (["--rounds", "4"], 2, "4 is not in the range x>=5"),
        (["--device", "gpu"], 1, "device gpu cannot be used here"),
        (["--to", "9x"], 1, "9"),
        (["--around", "0"], 2, "0 is not in the range"),
        (["--country", "France"], 1, "three letters"),
        (["none/such"], 1, "none/such"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tiny_checkpoint: Path, tmp_path: Path, words: list[str], code: int, said: str
) -> None:
    result = run(tiny_checkpoint, "-o", tmp_path / "out", *words)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ")
    assert said in last


def test_weights_that_are_not_finite_are_said(tiny_checkpoint: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(tiny_checkpoint, damaged)
    tensors = load_file(damaged / "model.safetensors")
    name = "model.layers.0.mlp.up_proj.weight"
    tensors[name][0, 0] = float("nan")
    save_file(tensors, damaged / "model.safetensors", {"format": "pt"})
    words = ("--workload", "3x1", "--device", "cpu", "--no-table", "--no-energy")
    said = f"{damaged} is damaged: tensor {name} holds NaN or Inf"
    result = run(damaged, *words, "-o", tmp_path / "out")
    assert (result.exit_code, said in result.stderr) == (0, True)
    assert said not in run(tiny_checkpoint, *words, "-o", tmp_path / "well").stderr


def test_a_measurement_that_fails_leaves_no_folder(tiny_checkpoint: Path, tmp_path: Path) -> None:
    odd = tmp_path / "odd"
    shutil.copytree(tiny_checkpoint, odd)
    (odd / "config.json").write_text('{"model_type": "zzz"}')
    result = run(odd, "--workload", "3x1", "--device", "cpu", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "does not know the model type" in result.stderr
    assert not (tmp_path / "out").exists()


def test_files_are_timed_by_llama_cpp_of_themselves(
    llama_bench: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = two_files(tmp_path).values()
    result = run(*files, "--workload", "8x2", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "llama.cpp reads a prompt of 8 tokens, and writes 2 tokens" in result.stdout
    assert "llama-bench 11549 (abc1234), Some CPU" in result.stdout
    assert "new tokens/s ratio" in result.stdout
    assert "prompt tokens/s" in result.stderr
    assert "tokens_per_sec" not in result.output
    assert "transformers" not in result.output
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    other = run(*files, "--runtime", "transformers", "--workload", "8x2", "-o", tmp_path / "out")
    assert other.exit_code == 1
    assert "name another folder with -o" in other.stderr


def test_what_only_transformers_does_is_not_asked_of_llama_cpp(
    llama_bench: Path, tmp_path: Path
) -> None:
    file = two_files(tmp_path)["dense"]
    words = (file, "--workload", "8x2", "-o", tmp_path / "out")
    result = run(*words, "--runtime", "llama.cpp", "--remove", "20%", "--no-energy")
    assert result.exit_code == 2
    assert "--remove, --energy: only --runtime transformers can do that" in result.stderr
    assert not llama_bench.exists()
    spoiled = tmp_path / "spoiled.gguf"
    spoiled.write_bytes(file.read_bytes() + b"__fail__")
    result = run(spoiled, "--workload", "8x2", "-o", tmp_path / "none")
    assert result.exit_code == 1
    assert "failed to load model" in result.stdout
    assert "nothing could be measured" in result.stderr
