"""Prune a checkpoint of Llama-3.2's shape by 40 %: widthwise, optipfair and a plain copy.

Every run is a process of its own, seen from outside: wall seconds until it has ended and peak
resident memory by the kernel's account. The three take turns, so that a drift of the machine
meets all of them; ratios are formed within a turn, and their median is printed.

    python benchmarks/prune.py                 # the 1B shape against optipfair, then 1B and 3B
    python benchmarks/prune.py --runs 5 --place /big/disk

The 1B shape needs about 7 GB of disk, the 3B shape 18 GB; no network. Goals: wall time at most
0.5 of optipfair's, peak memory at most 0.25 of its, and 3B memory within 10 % of 1B memory.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

SHAPES = {
    "1B": {"hidden_size": 2048, "num_hidden_layers": 16, "num_attention_heads": 32, "head_dim": 64},
    "3B": {
        "hidden_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 24,
        "head_dim": 128,
    },
    "8B": {
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
    "70B": {
        "hidden_size": 8192,
        "intermediate_size": 28672,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "head_dim": 128,
        "tie_word_embeddings": False,
    },
    "TINY": {  # for rehearsals of other benchmarks
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 8,
        "head_dim": 8,
        "intermediate_size": 256,
        "vocab_size": 2048,
    },
}
COMMON = {
    "intermediate_size": 8192,
    "num_key_value_heads": 8,
    "tie_word_embeddings": True,
    "vocab_size": 128256,
}
OPTIPFAIR = """
import sys, torch, optipfair
from transformers import AutoModelForCausalLM
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.bfloat16)
model = optipfair.prune_model(
    model, neuron_selection_method="PPM", pruning_percentage=40, show_progress=False
)
model.save_pretrained(sys.argv[2])
"""
COPY = "import shutil, sys; shutil.copytree(sys.argv[1], sys.argv[2])"


def generate(shape: str, folder: Path, **changes: int) -> Path:
    """A random bf16 checkpoint of a shape, written layer by layer (never whole in memory).

    Args:
        shape: One of `SHAPES`.
        folder: The folder to make.
        **changes: Settings of the config in place of the shape's.
    """
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, LlamaConfig

    config = LlamaConfig(**(COMMON | SHAPES[shape] | changes), dtype="bfloat16")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    generator = torch.Generator().manual_seed(0)
    files: dict[str, str] = {}
    shapes = {name: p.shape for name, p in model.named_parameters()}
    for name in shapes:  # a file for each layer, and one for the rest
        key = ".".join(name.split(".")[:3]) if ".layers." in name else "outside"
        files[name] = f"{key}.safetensors"
    for file in dict.fromkeys(files.values()):
        tensors = {
            name: torch.randn(shapes[name], generator=generator).mul_(0.02).bfloat16()
            for name in files
            if files[name] == file
        }
        save_file(tensors, folder / file, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": files}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def generated(shape: str, place: Path, **changes: int) -> Path:
    """`generate` in a process of its own: a child's peak memory starts at that of its parent."""
    print(f"generating the {shape} shape", file=sys.stderr)
    context = multiprocessing.get_context("spawn")
    work = context.Process(target=generate, args=(shape, place / shape), kwargs=changes)
    work.start()
    work.join()
    if work.exitcode:
        raise SystemExit(f"generating the {shape} shape failed")
    return place / shape


def run(command: list[str]) -> tuple[float, float]:
    """Wall seconds and peak resident GB of one process."""
    start = time.perf_counter()
    child = os.posix_spawn(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )
    _, status, usage = os.wait4(child, 0)
    if status:
        raise SystemExit(f"failed ({status}): {command[:6]}")
    return time.perf_counter() - start, usage.ru_maxrss * 1024 / 1e9


def commands(parent: Path, out: Path) -> dict[str, list[str]]:
    python = sys.executable
    ours = [python, "-m", "widthwise", "prune", str(parent), "--remove", "40%", "--paper-widths"]
    return {
        "widthwise": [*ours, "-o", str(out)],
        "optipfair": [python, "-c", OPTIPFAIR, str(parent), str(out)],
        "copy": [python, "-c", COPY, str(parent), str(out)],
    }


def measure(parent: Path, place: Path, names: list[str], runs: int) -> dict[str, list[list[float]]]:
    out = place / "out"
    results: dict[str, list[list[float]]] = {name: [] for name in names}
    for turn in range(runs + 1):  # the first turn warms the page cache and is not counted
        for name in names:
            shutil.rmtree(out, ignore_errors=True)
            os.sync()  # what an earlier run left unwritten is not charged to the next
            figures = run(commands(parent, out)[name])
            if turn:
                results[name].append(list(figures))
            print(
                f"  {'warm-up' if not turn else f'turn {turn}'} {name:10} "
                f"{figures[0]:7.2f} s {figures[1]:6.2f} GB",
                file=sys.stderr,
            )
    shutil.rmtree(out, ignore_errors=True)
    return results


def median(results: list[list[float]], column: int) -> float:
    return statistics.median(r[column] for r in results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--place", type=Path, default=None, help="folder on a disk with room")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.place) as name:
        place = Path(name)
        one = generated("1B", place)
        results = measure(one, place, ["widthwise", "optipfair", "copy"], options.runs)
        summary: dict[str, object] = {"runs": options.runs}
        for tool, figures in results.items():
            summary[tool] = {"wall_sec": median(figures, 0), "peak_gb": median(figures, 1)}
        for other in ("optipfair", "copy"):
            pairs = zip(results["widthwise"], results[other], strict=True)
            ratios = [[a[0] / b[0], a[1] / b[1]] for a, b in pairs]
            for column, figure in enumerate(("wall", "peak")):
                summary[f"{figure}_ratio_to_{other}"] = median(ratios, column)
        shutil.rmtree(one)
        three = generated("3B", place)
        larger = measure(three, place, ["widthwise"], 1)["widthwise"]
        summary["3B"] = {"wall_sec": median(larger, 0), "peak_gb": median(larger, 1)}
        summary["peak_ratio_3B_to_1B"] = median(larger, 1) / median(results["widthwise"], 1)
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
