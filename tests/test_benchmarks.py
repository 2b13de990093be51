"""Scripts beside the package find what they import; benchmarks of limits judge their records."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from dataclasses import asdict
from math import log2
from pathlib import Path

import pytest
import tiny_omniglot
from click.testing import CliRunner
from scripts import ROOT, load_script

from widthwise import __version__
from widthwise.experiments.lr_transfer import KINDS, TrainingRun, TrainingSettings, read_rows
from widthwise.experiments.maml import MamlResult, MamlSettings, QueryScore, recipe_of
from widthwise.experiments.maml.results import FORMAT

SCRIPTS = [
    path for folder in ("benchmarks", "tools", "examples") for path in (ROOT / folder).glob("*.py")
]


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_imports_only_names_that_are_there(path: Path) -> None:
    """Imports within functions too, which nothing else reads until somebody runs the script."""
    missing = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "widthwise":
            module = importlib.import_module(str(node.module))
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                if not hasattr(module, alias.name) and importlib.util.find_spec(submodule) is None:
                    missing.append(f"line {node.lineno}: {submodule}")
    assert not missing


def test_each_score_of_maml_is_beside_the_published_one(tmp_path: Path) -> None:
    """Half a point above each, but 1.5 above of the kernels, of which one point is allowed."""
    maml = load_script("benchmarks/maml.py")
    file = tiny_omniglot.save(tmp_path / "tiny.npz")
    out = tmp_path / "out"
    out.mkdir()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    for (network, width), (accuracy, _, _) in maml.PUBLISHED.items():
        kernel = network in ("linear", "gp", "ntk")
        score = QueryScore(
            accuracy=(accuracy + (1.5 if kernel else 0.4)) / 100, standard_error=0.004, tasks=3200
        )
        result = MamlResult(
            network=network, width=width, seed=0, test=score, reason=None, best_step=100,
            validation=((100, 0.5),), steps_per_sec=250.0, duration_sec=1.0,
        )  # fmt: skip
        settings = MamlSettings(steps=100 if network in ("gp", "ntk") else 10_000)
        recipe = asdict(recipe_of(network, width))
        known = {**asdict(settings), "recipe": recipe, "data": digest, "widthwise": __version__}
        FORMAT.append(out / "results.jsonl", [(result, known)])
    found = CliRunner().invoke(maml.main, ["--data", str(file), "-o", str(out)])
    assert found.exit_code == 0, found.output
    lines = found.output.splitlines()
    table = lines[next(i for i, line in enumerate(lines) if "published" in line) + 1 :]
    verdicts = {row[:14].strip(): row.split()[-1] for row in table[:11]}
    assert [verdicts[name] for name in ("width 2", "width 8192", "limit")] == ["ok"] * 3
    assert {verdicts[name] for name in ("linear kernel", "ReLU GP", "ReLU NTK")} == {"OFF"}
    assert table[11] == "10,000 meta-steps of the limit: 40.0 s, goal 40 s on 2 cores"
    assert (out / "published.png").read_bytes().startswith(b"\x89PNG")


def test_transfer_is_set_beside_theory(tmp_path: Path) -> None:
    """muP planted to stay, and the standard rate to stay as well, which is not what is expected."""
    text = tmp_path / "text.txt"
    text.write_text("".join(f"line {i} of a text\n" for i in range(6000)))
    training = TrainingSettings()
    rows = read_rows(text, tokens=training.tokens, most=training.steps * training.rows)
    settings = {**asdict(training), "text": rows.fingerprint, "vocabulary": 256}
    out = tmp_path / "out"
    out.mkdir()
    with open(out / "results.jsonl", "w") as file:
        for seed in range(4):
            for kind in KINDS:
                for width in (32, 64, 128):
                    for power in range(-10, -3):
                        run = TrainingRun(
                            kind=kind, width=width, lr=2.0**power, seed=seed, reason=None,
                            loss=2 + (power + 6.2 + 0.01 * seed * log2(width)) ** 2,
                            duration_sec=1.0,
                        )  # fmt: skip
                        file.write(json.dumps({**asdict(run), "settings": settings}) + "\n")
    found = CliRunner().invoke(
        load_script("benchmarks/transfer.py").main, [str(text), "-o", str(out)]
    )
    assert found.exit_code == 0, found.output
    assert found.output.splitlines()[-3:] == [
        "sp: stays, expected shifts: OFF",
        "sp-embedding: stays, expected shifts: OFF",
        "mup: stays, expected stays: ok",
    ]
