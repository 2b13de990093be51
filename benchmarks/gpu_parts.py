"""The parts of gpu.py, each a command that writes its figures to PLACE/NAME.json.

PYTHONPATH=src python benchmarks/gpu_parts.py model --place /tmp/gpu --device cuda --shape 1B
PYTHONPATH=src python benchmarks/gpu_parts.py refit --place /tmp/gpu --device cuda --shape 1B
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import click

from widthwise.io import write_text

ROOT = Path(__file__).resolve().parents[1]
TEXTS = ("*.md", "docs/*.md", "src/**/*.py")  # of the repository: what the model reads
WORDS = 8192  # most of the tokenizer
TOKENS = {"1B": 20_480, "tiny": 1024}  # of a calibration: 2.5 for each neuron of a layer
STEPS = {"1B": 40, "tiny": 3}  # of a healing
QUESTIONS = {"1B": 200, "tiny": 4}
WORKLOAD = {"1B": "512x32x8", "tiny": "16x2"}
NARROWER = ("1x", "2x", "3x", "1.5x", "2.5x", "3.5x")  # of 4x, those first that say most
ENERGY_SEC = 6.5 * 5  # of a width: five rounds of 6 s, and what is between them
OTHER_SEC = 45.0  # of a measurement with energy: loading, the limits of the device, power at rest
MESSAGE = 400  # characters of a failed test's message
Figures = dict[str, Any]


class Place:
    """The folder of a run, and what its parts share.

    Args:
        folder: The folder.
        device: `"cuda"` or `"cpu"`.
        shape: Of the model.
        seconds: That the part has.
    """

    def __init__(self, folder: Path, device: str, shape: str, seconds: float) -> None:
        self.folder, self.device, self.shape, self.seconds = folder, device, shape, seconds
        self.model, self.cut, self.text = folder / "model", folder / "cut", folder / "text.txt"

    def save(self, name: str, figures: Figures) -> None:
        """Write the figures of a part so far, whole or not at all."""
        write_text(self.folder / f"{name}.json", json.dumps(figures))

    def model_and_tokenizer(self, folder: Path) -> tuple[Any, Any]:
        """A checkpoint in memory on the device, in bfloat16."""
        from scoring_backends import load_backend_model

        model, tokenizer = load_backend_model(str(folder), "bfloat16")
        return model.to(self.device), tokenizer


def machine(place: Place) -> Figures:
    """Chip, driver and versions."""
    from importlib.metadata import version

    import torch

    figures = {
        "chip": platform.processor() or platform.machine(),
        "driver": None,
        "cuda": torch.version.cuda,
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "HEAD"),
    }
    if place.device == "cuda":
        torch.zeros(1, device="cuda")
        memory = torch.cuda.get_device_properties(0).total_memory
        figures |= {"chip": torch.cuda.get_device_name(), "memory_bytes": memory}
        query = "--query-gpu=driver_version", "--format=csv,noheader"
        figures["driver"] = _said("nvidia-smi", *query)
    return figures


def model(place: Place) -> Figures:
    """The files of the other parts: a random checkpoint with a tokenizer, and a text."""
    from prune import SHAPES, generate
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    paths = sorted(path for pattern in TEXTS for path in ROOT.glob(pattern))
    texts = [path.read_text(encoding="utf8") for path in paths]
    place.text.write_text("\n\n".join(texts), encoding="utf8")
    shape = place.shape.upper()
    generate(shape, place.model)
    words = min(WORDS, SHAPES[shape].get("vocab_size", WORDS))
    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    alphabet, end = pre_tokenizers.ByteLevel.alphabet(), "<|endoftext|>"
    trainer = trainers.BpeTrainer(
        vocab_size=words, special_tokens=[end], initial_alphabet=alphabet, show_progress=False
    )
    fast.train_from_iterator(texts[:: 1 if place.shape == "1B" else 20], trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=fast, eos_token=end, pad_token=end)
    tokenizer.save_pretrained(place.model)
    size = sum(file.stat().st_size for file in place.model.iterdir())
    return {"bytes": size, "text_bytes": place.text.stat().st_size, "words": words}


def tests(place: Place) -> Figures:
    """The tests that are marked as of a GPU."""
    found = [
        path for path in (ROOT / "tests").rglob("test_*.py") if "mark.gpu" in path.read_text("utf8")
    ]
    report = place.folder / "junit.xml"
    words = ["-m", "gpu", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    words += [f"--junitxml={report}", *map(str, sorted(found))]
    code = subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT).returncode
    cases = [*ElementTree.parse(report).iter("testcase")]
    figures = {f"{case.get('classname')}::{case.get('name')}": _outcome(case) for case in cases}
    place.save("tests", figures)
    if code:
        sys.exit(code)
    return figures


def _outcome(case: ElementTree.Element) -> str:
    """Of a test: what became of it, and the message of a failure."""
    for each in case:
        if each.tag in ("failure", "error", "skipped"):
            return f"{each.tag}: {each.get('message', '')}"[:MESSAGE]
    return "passed"


def refit(place: Place) -> Figures:
    """The default cut by a fifth: neurons by activations, down_proj refitted layer after layer."""
    from widthwise.prune import prune_checkpoint
    from widthwise.prune.refitting import refit

    start, tokens = time.perf_counter(), TOKENS[place.shape]
    ends: list[float] = []
    figures: Figures = {"tokens": tokens, "layer_ends_sec": ends}

    def layer_is_done(_: int) -> None:
        ends.append(round(time.perf_counter() - start, 2))
        place.save("refit", figures)

    made = refit(
        place.model,
        remove="20%",
        criterion="activation",
        text=place.text,
        tokens=tokens,
        progress=layer_is_done,
    )
    figures["refit_sec"] = time.perf_counter() - start
    figures["held_out_error"] = statistics.fmean(layer.held_out_error for layer in made.layers)
    figures["ridges"] = [layer.lam for layer in made.layers]
    figures["divergence_nats"] = [loss.divergence for loss in made.losses]
    figures |= _peaks(place)
    place.save("refit", figures)
    shutil.rmtree(place.cut, ignore_errors=True)
    prune_checkpoint(place.model, place.cut, made.plan, refit=made)
    return {**figures, "all_sec": time.perf_counter() - start}


def heal(place: Place) -> Figures:
    """Steps a second of a training with the dense model as teacher, all weights trained."""
    from widthwise.cli import main as widthwise
    from widthwise.prune.healing import HealSettings, distil
    from widthwise.prune.healing.text_blocks import read_blocks

    if not place.cut.exists():  # the refit was left out
        words = ["prune", place.model, "--remove", "20%", "--criterion", "ppm", "-o", place.cut]
        widthwise([*map(str, words)], standalone_mode=False)
    child, tokenizer = place.model_and_tokenizer(place.cut)
    parent, _ = place.model_and_tokenizer(place.model)
    settings = HealSettings(
        tokens=STEPS[place.shape] * HealSettings().batch_tokens, learning_rate=1e-5
    )
    rows = read_blocks(place.text, tokenizer, settings.to_read(place.device)).rows
    ends: list[float] = []
    figures: Figures = {"batch_tokens": settings.batch_tokens, "step_ends_sec": ends}

    def step_is_done(step: Any) -> None:
        ends.append(step.seconds)
        place.save("heal", figures)

    healed = distil(child, parent, rows, settings, visit=step_is_done)
    steps = [end - begin for begin, end in pairwise(ends)]
    figures["steps_per_sec"] = 1 / statistics.median(steps)
    figures["divergence_nats"] = [healed.before.divergence.value, healed.after.divergence.value]
    return figures | _peaks(place)


def scorer(place: Place) -> Figures:
    """Log-likelihoods of made questions with four options: our scorer beside lm-eval's hf."""
    from functools import partial

    from scoring_backends import answered, compared, ours, theirs

    network, tokenizer = place.model_and_tokenizer(place.model)
    work = _questions(place)
    few = work.part
    sides: dict[str, Callable[[], Any]] = {"ours": partial(ours, network, tokenizer)}
    figures: Figures = {"questions": len(work.documents), "seconds": {}}
    for size in (8, 32) if place.shape == "1B" else (4,):
        sides[f"hf {size}"] = partial(theirs, network, tokenizer, size, device=str(network.device))
    answers = {}
    for side, make in sides.items():
        answered(make, few)  # warms up
        figures["seconds"][side], answers[side], _ = answered(make, work)
        place.save("scorer", figures)
    hf = min((side for side in sides if side != "ours"), key=figures["seconds"].__getitem__)
    return {**figures, "hf": hf, **compared(work, answers["ours"], answers[hf]), **_peaks(place)}


def _questions(place: Place) -> Any:
    """Questions on pieces of the text; the options of one share all of the piece."""
    from lm_eval.api.instance import Instance
    from scoring_backends import Work

    from widthwise.evaluate.tasks import TaskDocument

    words = place.text.read_text(encoding="utf8").split()
    documents = []
    for number in range(QUESTIONS[place.shape]):
        piece = words[40 * number :][: 250 if place.shape == "1B" else 20]
        options = [" " + " ".join(piece[8 * option :][:8]) for option in range(4)]
        instances = tuple(
            Instance("loglikelihood", {}, (" ".join(piece), option), place_of)
            for place_of, option in enumerate(options)
        )
        documents.append(
            TaskDocument(id=f"made/{number}", doc={}, instances=instances, lm_task=None)
        )
    return Work(name="made", documents=tuple(documents), total=len(documents))


def measure(place: Place) -> Figures:
    """Times at seven widths, and then energy at as many of them as there is time for."""
    start = time.monotonic()
    figures = {"times": _measured(place, NARROWER, "--no-energy")}
    place.save("measure", figures)
    left = place.seconds - (time.monotonic() - start) - OTHER_SEC
    count = min(len(NARROWER), int(left / ENERGY_SEC) - 1)  # and the dense one
    if count < 1:
        return {**figures, "energy": None, "reason": "no time was left for energy"}
    return {**figures, "energy": _measured(place, NARROWER[:count], "--energy")}


def _measured(place: Place, widths: tuple[str, ...], energy: str) -> list[Figures]:
    from widthwise.cli import main as widthwise

    out = place.folder / f"measure{energy}"
    words = ["measure", str(place.model), "--to", ",".join(widths), energy, "-o", str(out)]
    words += ["--workload", WORKLOAD[place.shape], "--device", place.device]
    widthwise([*words, "--dtype", "bfloat16"], standalone_mode=False)
    lines = map(json.loads, (out / "records.jsonl").read_text(encoding="utf8").splitlines())
    kept = ("width", "quantity", "unit", "value", "standard_error", "reason")
    return [{name: line.get(name) for name in kept} for line in lines]


def alignment(place: Place, shape: str) -> Figures:
    """alignment.py, which writes the figures itself, anew after each workload."""
    out = place.folder / f"alignment-{shape}.json"
    words = ["--shape", shape, "--workload", "512x32x8,2048x8x8"]
    if place.shape == "tiny":
        words = ["--shape", "tiny", "--workload", "16x2"]
    script = str(ROOT / "benchmarks" / "alignment.py")
    words += ["--device", place.device, "-o", str(out)]
    subprocess.run([sys.executable, script, *words], check=True)
    return json.loads(out.read_text())  # type: ignore[no-any-return]


def _peaks(place: Place) -> Figures:
    """Peaks of memory of this process: resident on the host, allocated by torch on the device."""
    import torch

    resident = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    on_device = torch.cuda.max_memory_allocated() if place.device == "cuda" else None
    return {"host_peak_bytes": resident, "device_peak_bytes": on_device}


def _said(*command: str) -> str | None:
    """What a program says; None where there is no such program, or it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


PARTS: dict[str, Callable[[Place], Figures]] = {
    "machine": machine,
    "model": model,
    "tests": tests,
    "refit": refit,
    "heal": heal,
    "scorer": scorer,
    "measure": measure,
    "alignment-1b": lambda place: alignment(place, "1b"),
    "alignment-3b": lambda place: alignment(place, "3b"),
}


@click.command()
@click.argument("part", type=click.Choice([*PARTS]))
@click.option("--place", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--shape", type=click.Choice([*TOKENS]), default="1B", show_default=True)
@click.option("--seconds", type=float, default=480.0, help="That the part has.", show_default=True)
def main(part: str, place: Path, device: str, shape: str, seconds: float) -> None:
    """Run one part and write its figures."""
    where = Place(place, device, shape, seconds)
    where.save(part, PARTS[part](where))


if __name__ == "__main__":
    main()
