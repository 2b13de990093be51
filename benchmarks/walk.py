"""Cut and refit generated checkpoints layer after layer: time and memory by the number of layers.

Nothing is scaled after the refit, as that goes through all layers again and again.

A calibrated cut has one layer of a model in memory, so its peak memory should not grow with the
number of layers, and its time should grow in proportion. Every run is a process of its own, seen
from outside: processor and wall seconds, and peak resident memory by the kernel's account. With
`--against`, another version of the code takes turns with this one.

    python benchmarks/walk.py                                 # the 1B shape with 2 and 4 layers
    python benchmarks/walk.py --shape 8B --layers 1,2 --tokens 28672
    python benchmarks/walk.py --against /path/to/older/src

Weights are random, so that nothing is said of quality; the text is the embedded one.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import click
from prune import SHAPES, generated

from widthwise.cut.checkpoint import resolve_model


def run(command: list[str], source: Path | None) -> dict[str, float]:
    """Wall and processor seconds, and peak resident GB, of one process.

    Args:
        command: What is run.
        source: The folder of the version of widthwise that runs; None for this one.
    """
    start, paths = time.perf_counter(), {} if source is None else {"PYTHONPATH": str(source)}
    child = os.posix_spawn(command[0], command, {**os.environ, **paths})
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"failed ({status}): {' '.join(command)}")
    return {
        "wall_sec": time.perf_counter() - start,
        "cpu_sec": usage.ru_utime + usage.ru_stime,
        "peak_gb": usage.ru_maxrss * 1024 / 1e9,
    }


def cut(parent: Path, out: Path, tokens: int) -> list[str]:
    """The command of a calibrated cut."""
    how = ["--remove", "20%", "--criterion", "activation", "--refit", "--tokens", str(tokens)]
    return [sys.executable, "-m", "widthwise", "prune", str(parent), *how, "-o", str(out)]


def with_tokenizer(folder: Path) -> Path:
    """The folder of a generated checkpoint with the tokenizer of the embedded model."""
    source = resolve_model("smollm2").checkpoint.tokenizer_folder
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(source / name, folder / name)
    return folder


@click.command()
@click.option("--shape", type=click.Choice(list(SHAPES)), default="1B")
@click.option("--layers", default="2,4", help="Numbers of layers, with commas between them.")
@click.option("--width", type=int, help="Neurons of a layer in place of the shape's.")
@click.option("--tokens", default=20_480, help="Tokens of text.")
@click.option("--against", type=click.Path(path_type=Path, exists=True), help="Another src.")
@click.option("--place", type=click.Path(path_type=Path, exists=True), help="Folder with room.")
def main(
    shape: str,
    layers: str,
    width: int | None,
    tokens: int,
    against: Path | None,
    place: Path | None,
) -> None:
    """Print one JSON object."""
    versions = {"this": None} | ({"other": against} if against else {})
    found: dict[str, object] = {"shape": shape, "tokens": tokens}
    changes = {} if width is None else {"intermediate_size": width}
    with tempfile.TemporaryDirectory(dir=place) as name:
        for count in map(int, layers.split(",")):
            parent = generated(shape, Path(name), num_hidden_layers=count, **changes)
            with_tokenizer(parent)
            for version, source in versions.items():
                out = Path(name) / "out"
                command = cut(parent, out, tokens) + ([] if source else ["--no-scales"])
                found[f"{version}, {count} layers"] = run(command, source)
                shutil.rmtree(out)
            shutil.rmtree(parent)
    click.echo(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
