"""Cuts of a tiny model whose weights are the same everywhere, and a digest of every file of them.

Weights of a refit hang on the processor's rounding, so of refits those numbers are left out here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from exact_models import WIDTH, batches, save_exact
from tiny_gguf import write_gguf

from widthwise import Plan, make_plan, per_layer, prune_checkpoint
from widthwise.prune.refitting import refit

DIGESTS = Path(__file__).parents[1] / "golden" / "cuts.txt"
_OF_LIBRARIES = ("tokenizer", "generation_config")  # how their files begin
_VERSION = re.compile(rb'"transformers_version": "[\d.]+"')
_CRITERIA = ("ppm", "max_abs", "vow", "pon", "l2", "random")  # a new one has its own tests
_ROUNDED = ("model.safetensors", "widthwise_refit.json")


def plain() -> None:
    plan = make_plan("parent", width=8, align=1, criterion="ppm")
    prune_checkpoint("parent", "cut", plan, command="widthwise prune parent --width 8")


def sharded() -> None:
    plan = make_plan("parent", remove="40%", criterion="random", seed=3)
    prune_checkpoint("parent", "cut", plan, dtype="bfloat16", max_shard_size="3000B")


def _by_layers() -> Plan:
    keep = tuple(tuple(range(WIDTH - width, WIDTH)) for width in (5, 11))
    return replace(make_plan("parent", width=8, align=1, criterion="ppm"), keep=keep)


def padded() -> None:
    prune_checkpoint("parent", "cut", _by_layers())


def compact() -> None:
    prune_checkpoint("parent", "cut", _by_layers(), layout="compact")


def of_gguf() -> None:
    write_gguf(_loaded(), Path("tiny.gguf"))
    plan = make_plan("tiny.gguf", width=8, align=1, criterion="ppm")
    prune_checkpoint("tiny.gguf", "cut", plan)


def refitted() -> None:
    done = refit(_loaded(), width=8, align=1, text=batches(), scales=False)
    prune_checkpoint("parent", "cut", done.plan, refit=done)


def refitted_by_layers() -> None:
    found = per_layer(_loaded(), width=8, align=1, text=batches())
    widths = found.widths
    done = refit(_loaded(), width=8, align=1, text=batches(), widths=widths, scales=False)
    prune_checkpoint("parent", "cut", done.plan, refit=done, layout="compact")


REFITS: dict[str, Callable[[], None]] = {
    "refitted": refitted,
    "refitted-by-layers": refitted_by_layers,
}
CUTS: dict[str, Callable[[], None]] = {
    "plain": plain,
    "sharded": sharded,
    "padded": padded,
    "compact": compact,
    "gguf": of_gguf,
    **REFITS,
}


def cut(name: str, place: Path) -> Path:
    """Make one of the cuts in a folder; by relative paths, of which some stand in its files."""
    save_exact(place / "parent")
    with chdir(place):
        CUTS[name]()
    return place / "cut"


def digests(place: Path) -> Iterator[str]:
    """A line a file, and a line a plan of each criterion that reads weights alone."""
    for name in CUTS:
        folder = cut(name, place / name)
        for path in sorted(folder.iterdir()):
            if path.name.startswith(_OF_LIBRARIES) or (name in REFITS and path.name in _ROUNDED):
                continue
            yield _line(_VERSION.sub(b"", path.read_bytes()), f"{name} {path.name}")
    for criterion in _CRITERIA:
        with chdir(place / "plain"):
            plan = make_plan("parent", width=7, align=1, criterion=criterion)
        yield _line(plan.to_json().encode(), f"plan by {criterion}")


def _line(content: bytes, name: str) -> str:
    return f"{hashlib.sha256(content).hexdigest()[:12]}  {name}"


def _loaded() -> Any:
    import transformers as hf

    return hf.AutoModelForCausalLM.from_pretrained("parent")


def keep() -> None:
    """Keep today's digests as the right ones."""
    with TemporaryDirectory() as place:
        DIGESTS.write_text("".join(f"{line}\n" for line in digests(Path(place))), encoding="utf8")
