"""`widthwise prune`: what it does once, however much is asked for."""

from __future__ import annotations

import json
import random
import re
import string
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import run
from json_results import printed_json
from tiny_gguf import save_llama

from widthwise.assets import gguf_model
from widthwise.cli import main
from widthwise.cut.checkpoint import resolve
from widthwise.prune import opened_model

pytestmark = pytest.mark.usefixtures("own_modules")

COUNTED = [
    (gguf_model, "write_head"),
    (gguf_model, "remembered_sha256"),
    (gguf_model, "write_weights"),
    (opened_model, "load_model"),
]
ASKED = ["--remove", "40%", "--criterion", "activation", "--refit", "--tokens", "2048"]


@pytest.fixture
def tiny_gguf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A GGUF file of a tiny Llama that has never been converted."""
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "cache"))
    return save_llama(tmp_path / "tiny.gguf", 96)


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("".join(random.Random(0).choices(string.ascii_letters, k=3000)))
    return path


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a model is resolved, hashed, converted and loaded, by the names of functions."""
    found: Counter[str] = Counter()

    def count(module: Any, name: str) -> None:
        function = getattr(module, name)

        def counted(*given: Any, **options: Any) -> Any:
            found[name] += 1
            return function(*given, **options)

        monkeypatch.setattr(module, name, counted)

    for module, name in COUNTED:
        count(module, name)
    init = resolve.ModelSource.__init__
    monkeypatch.setattr(
        resolve.ModelSource,
        "__init__",
        lambda self, *given, **named: (found.update(["resolved"]), init(self, *given, **named))[1],
    )
    return found


@pytest.mark.parametrize("layers", [(), ("--per-layer", "compact", "--under", "latency")])
def test_a_model_is_resolved_and_loaded_once_and_never_converted(
    layers: tuple[str, ...], tiny_gguf: Path, text: Path, tmp_path: Path, calls: Counter[str]
) -> None:
    out = tmp_path / "out"
    words = ["prune", tiny_gguf, *ASKED, "--calibration", text, *layers, "-o", out]
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    # A refit reads one layer at a time; blocks are timed in the whole model.
    expected = {"resolved": 1, "write_head": 1} | ({"load_model": 1} if layers else {})
    assert calls == expected


def test_weights_alone_load_and_convert_no_model(
    tiny_gguf: Path, tmp_path: Path, calls: Counter[str]
) -> None:
    words = ["prune", tiny_gguf, "--criterion", "ppm", "--remove", "40%", "-o", tmp_path / "out"]
    result = CliRunner().invoke(main, [*map(str, words)])
    assert result.exit_code == 0, result.output
    assert calls == {"resolved": 1, "write_head": 1}


@pytest.mark.parametrize("layers", [(), ("--per-layer", "compact")])
def test_too_few_tokens_are_refused_before_loading_and_the_number_advised_suffices(
    layers: tuple[str, ...], tiny_gguf: Path, text: Path, tmp_path: Path, calls: Counter[str]
) -> None:
    """600 neurons are more than one block of 512 tokens, so that each half must be two."""
    wide = save_llama(tmp_path / "wide.gguf", 600)
    words = ["prune", wide, "--remove", "40%", "--criterion", "activation", "--refit", *layers]
    words = [*map(str, [*words, "--calibration", text, "-o", tmp_path / "out", "--tokens"])]
    few = CliRunner().invoke(main, [*words, "1200"])
    assert few.exit_code == 1
    assert "neurons, 600; --tokens 1200 is too few: calibrate on at least 2,048" in few.stderr
    assert calls["load_model"] == 0
    assert not (tmp_path / "out").exists()
    enough = CliRunner().invoke(main, [*words, "2048"])
    assert enough.exit_code == 0, enough.output


def test_bytes_of_a_gguf_file_are_said_to_be_those_of_a_checkpoint(
    tiny_gguf: Path, tmp_path: Path
) -> None:
    said = f"F32 (a file of {tiny_gguf.stat().st_size:,} bytes), and read as bfloat16, in which"
    shown = run("inspect", tiny_gguf)
    assert said in json.loads(shown.stdout)["quantization"]
    for words in (
        ["plan", tiny_gguf, "--remove", "40%"],
        ["plan", tiny_gguf, "--size", "1kB"],
        ["prune", tiny_gguf, "--criterion", "ppm", "--remove", "40%", "-o", tmp_path / "out.gguf"],
    ):
        result = run(*words)
        assert result.stderr.count(said) == 1, result.output
        assert (result.exit_code == 0) == ("--size" not in words)


def test_what_a_refitted_cut_loses_is_said(tiny_gguf: Path, text: Path, tmp_path: Path) -> None:
    words = ["prune", tiny_gguf, *ASKED, "--calibration", text, "-o", tmp_path / "out"]
    result = run(*words, "--json")
    assert result.exit_code == 0, result.output
    printed = printed_json("prune", result)
    assert printed["path"] == str(tmp_path / "out")
    assert printed["plan"]["width"] == printed["plan"]["widths"][0]
    said = next(line for line in result.stderr.splitlines() if line.startswith("Lost: "))
    assert f"on 2 held-out blocks of {text}" in said
    kept = json.loads((tmp_path / "out" / "widthwise_refit.json").read_text("utf8"))["losses"]
    assert f"KL {kept[0]['divergence']:.3f} nats a token" in said
    assert printed["refit"]["losses"][0]["divergence"] == kept[0]["divergence"]


@pytest.mark.parametrize("command", ["prune", "plan"])
def test_what_a_cut_takes_is_said_before_the_first_layer(
    command: str, tiny_gguf: Path, text: Path, tmp_path: Path
) -> None:
    words = [word for word in ASKED if command == "prune" or word != "--refit"]
    result = run(command, tiny_gguf, *words, "--calibration", text, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    (at,) = [number for number, line in enumerate(lines) if line.startswith("Roughly ")]
    needs = "1.0 GB of memory, 0.01 GB of disk beside " + str(tmp_path / "out")
    needs = needs if command == "prune" else "0.7 GB of memory"
    assert re.fullmatch(rf"Roughly \d+ \w+ if nothing else runs, {re.escape(needs)}\.", lines[at])
    assert "on up to 2,048 tokens of" in lines[at - 1]
    assert any("3 layers: the text is read first" in line for line in lines[at + 1 :])


def test_memory_that_is_too_small_is_said_before_the_first_layer(
    tiny_gguf: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("widthwise.prune.cut_needs.free_bytes", lambda _: 1000)
    result = run("prune", tiny_gguf, *ASKED, "--calibration", text, "-o", tmp_path / "out")
    assert result.exit_code == 1
    said = result.stderr.splitlines()[-1]
    assert "needs 0.01 GB of memory at least, and 0.01 GB are free: end other programs" in said
    assert said.endswith("which needs no text, pass --criterion ppm --no-refit")
    assert not any(path.name.startswith(("out", ".out")) for path in tmp_path.iterdir())
