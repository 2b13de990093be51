"""Other methods beside the default, on the same tokens and at the same widths, without training.

Only the blocks of a Llama-like model are cut, all of them to one width, so that all methods leave
as many parameters (FLAP also a bias in down_proj). A seed is a set of blocks of the embedded text
that no other seed has; all methods are calibrated on these. They are compared by the perplexity of
WikiText-2's test text and LAMBADA, a fixed sample, as `refit_targets.py` measures it. The rules of
the others stand in `peers_rules.py`; `widthwise` is the default of the package, but without scales
of rows. All others take the sums of the dense model. Two of them are calibrated layer after layer
in their own code, and so are `wanda_sp walked` and `grail walked`; `widthwise one-pass` is the
default on dense sums.

    python benchmarks/peers.py --data FOLDER -o RESULTS     # FOLDER as evaluate --data
    python benchmarks/peers.py --data FOLDER -o RESULTS --seeds 2 --only flap,widthwise
    python benchmarks/peers.py --data FOLDER -o RESULTS --table     # of what is there

A ratio of the default to a method has two intervals of 95 %: over passages (bootstrap, paired, of
the mean over seeds) and over seeds (Student's, paired). The default is called ahead or behind where
both say so; of one seed only the first is known. Nothing is adjusted for the number of comparisons.

Each network is a line of RESULTS/networks.jsonl with the nats of all passages: run again, it
measures what is not there yet. Other settings need another RESULTS.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from peers_blocks import DenseSums, batches_of, cut_model, walked
from peers_rules import RULES, Cut
from peers_table import OURS, tables
from refit_targets import REMOVED, hold_settings, losses, passages
from torch import Tensor

from widthwise.io import append_lines, read_whole_lines

SEEDLESS = ("l2", "ppm")
WALKED = {"wanda_sp walked": "wanda_sp", "grail walked": "grail"}
ONE_PASS = f"{OURS} one-pass"
METHODS = (*RULES, OURS)
CONTROLS = (*WALKED, ONE_PASS)
Key = tuple[str, float, int | None]  # method, share removed, seed


def blocks_of(tokenizer: Any, blocks: int, seed: int) -> Tensor:
    """Token ids of a seed, shape (blocks, 512): those of no other seed, from all of the text."""
    from widthwise.prune.calibration import read_text

    text = read_text(None, tokenizer, 10**7)
    ids = torch.cat([batch.input_ids for batch in (*text.fit, *text.held_out)])
    order = [*range(len(ids))]
    random.Random(0).shuffle(order)
    mine = order[seed * blocks : (seed + 1) * blocks]
    if len(mine) < blocks:
        raise SystemExit(f"the embedded text has {len(ids)} blocks, too few for seed {seed}")
    return ids[mine]


class Bench:
    """The dense model, its widths, and the networks that are made of it on one seed at a time."""

    def __init__(self, given: argparse.Namespace) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from widthwise.cut.checkpoint import resolve_model
        from widthwise.prune import PruneSpec, open_model

        self.given, path = given, resolve_model(given.model).path
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        load = AutoModelForCausalLM.from_pretrained
        self.model = load(path, dtype=torch.bfloat16).eval()
        self.widths: dict[float, int] = {}  # by the share that is removed
        with open_model(self.model) as opened:
            for each in REMOVED:
                width = PruneSpec.of(remove=each).width(opened.weights.architecture)
                self.widths[float(each.rstrip("%")) / 100] = width.widths[0]
        self.texts = passages(given.data, self.tokenizer, given.blocks, given.passages)

    def measured(self) -> dict[str, Any]:
        return {text: losses(self.model, rows) for text, rows in self.texts.items()}

    def networks(
        self, methods: Sequence[str], seed: int, known: set[Key]
    ) -> Iterator[tuple[Key, list[Cut]]]:
        """The cuts of every network of a seed that is not known yet."""
        todo = {method: self._unknown(method, seed, known) for method in methods}
        if not any(todo.values()):
            return
        ids = blocks_of(self.tokenizer, self.given.tokens // 512, seed)
        sums = DenseSums(self.model, ids) if any(todo[m] for m in methods if m in RULES) else None
        for method in methods:
            keys, widths = [*todo[method]], [*todo[method].values()]
            if not keys:
                continue
            if sums and method in RULES:
                yield from zip(keys, sums.cuts(RULES[method], widths, seed), strict=True)
                continue
            sums = None  # those that follow need none
            if method == ONE_PASS:
                yield from zip(keys, self._one_pass(widths, ids), strict=True)
                continue
            for key, width in todo[method].items():
                yield key, self._by_layers(method, width, ids)

    def _unknown(self, method: str, seed: int, known: set[Key]) -> dict[Key, int]:
        """The networks of a method that are not known, and their widths."""
        at = None if method in SEEDLESS else seed
        widths = {(method, share, at): width for share, width in self.widths.items()}
        return {key: width for key, width in widths.items() if key not in known}

    def _one_pass(self, widths: Sequence[int], ids: Tensor) -> list[list[Cut]]:
        from widthwise.prune import PruneSpec, refits

        specs = [PruneSpec.of(width=width, align=1) for width in widths]
        return [*map(cuts_of, refits(self.model, specs, batches_of(ids)))]

    def _by_layers(self, method: str, width: int, ids: Tensor) -> list[Cut]:
        import widthwise

        if method in WALKED:
            return walked(self.model, ids, RULES[WALKED[method]], width)
        how: dict[str, Any] = {"width": width, "align": 1, "scales": False}
        return cuts_of(widthwise.refit(self.model, text=batches_of(ids), **how))


def cuts_of(done: Any) -> list[Cut]:
    """What `widthwise.refit` found, as the cuts of a rule."""
    pairs = zip(done.plan.keep, done.down, strict=True)
    return [Cut(torch.tensor(keep), down) for keep, down in pairs]


def run(given: argparse.Namespace, file: Path) -> None:
    bench, known = Bench(given), {key_of(line) for line in lines_of(file)}

    def kept(key: Key, start: float) -> None:
        found = {"method": key[0], "removed": key[1], "seed": key[2]}
        found["seconds"] = round(time.process_time() - start, 1)  # since the one before
        append_lines(file, [json.dumps({**found, "losses": bench.measured()})])
        print(*key, f"{found['seconds']} s", flush=True)

    if ("dense", 0.0, None) not in known:
        kept(("dense", 0.0, None), time.process_time())
    for seed in range(given.seeds):
        methods = METHODS + CONTROLS if seed < given.controls else METHODS
        asked = [each for each in methods if not given.only or each in given.only.split(",")]
        start = time.process_time()
        for key, cuts in bench.networks(asked, seed, known):
            with cut_model(bench.model, cuts):
                kept(key, start)
            known.add(key)
            start = time.process_time()


def lines_of(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read_whole_lines(file)]


def key_of(line: dict[str, Any]) -> Key:
    return line["method"], line["removed"], line["seed"]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=16_384, help="of a seed")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--controls", type=int, default=1, help="seeds that have these as well")
    parser.add_argument("--blocks", type=int, default=12, help="of WikiText-2")
    parser.add_argument("--passages", type=int, default=72, help="of LAMBADA")
    parser.add_argument("--only", default="", help="methods, with commas between them")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.set_defaults(calibration=None)  # the embedded text
    given = parser.parse_args()
    file = given.out / "networks.jsonl"
    if not given.table:
        torch.set_grad_enabled(False)
        hold_settings(given)
        run(given, file)
    for line in tables(lines_of(file), (*METHODS, *CONTROLS)):
        print(line)


if __name__ == "__main__":
    main()
