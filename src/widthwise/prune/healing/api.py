"""`heal`: from two checkpoints on disk to a third."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import RunError
from ...memory import bounded
from ...stats import Difference
from ..checkpoint import check_free
from ..checkpoint.write import refuse_overlap
from .blocks import Blocks, read_blocks
from .factors import factors_of, width_change
from .judging import Blockwise, HeldOut, gain_of, judge, shown
from .lora import add_lora, merge_lora
from .padding import clear, padding
from .pair import Pair, check_place, compute_dtype, model_in, narrowed, opened_pair
from .record import FORMAT, refit_facts
from .settings import HealSettings
from .state import StateFolder, state_folder
from .training import Step, Trainer
from .writing import check_space, stored_names, write_healed

if TYPE_CHECKING:
    from torch import Tensor

SAVE_SECONDS = 300.0


@dataclass(frozen=True, kw_only=True)
class Healing:
    """What a healing did.

    Attributes:
        out: The healed checkpoint.
        settings: How it was made.
        source: The text.
        tokens: Trained on.
        epochs: How often the text was gone through.
        seconds: On the clock, over all runs that it took.
        factors: What learning rates were multiplied by, by parameter; 1 of all others.
        curve: Its steps.
        before: The pruned child beside its parent, on blocks held out.
        after: The healed child on the same blocks.
        told: What a reader of the numbers should know; often nothing.
    """

    out: Path
    settings: HealSettings
    source: str
    tokens: int
    epochs: float
    seconds: float
    factors: Mapping[str, float]
    curve: tuple[Step, ...]
    before: HeldOut
    after: HeldOut
    told: tuple[str, ...]

    @property
    def gain(self) -> Difference:
        """Nats a token by which KL from the parent fell on the blocks held out; paired."""
        return gain_of(self.before, self.after)


def heal(
    child: str | Path,
    dense: str | Path,
    *,
    out: str | Path,
    text: str | Path | None = None,
    settings: HealSettings | None = None,
    device: str | None = None,
    dtype: str | None = None,
    force: bool = False,
    command: str | None = None,
    status: Callable[[str], None] | None = None,
    progress: Callable[[Step, float], None] | None = None,
) -> Healing:
    """Train a pruned checkpoint to give the logits of its dense parent, and write a plain one.

    The state is kept beside `out` every five minutes and at the first Ctrl-C; the same call goes on
    from there. With `minutes` what comes out depends on the machine's speed; without, on a
    processor with a fixed number of threads, not even on interruptions.

    Args:
        child: The pruned checkpoint: a folder, or whatever `make_plan` takes.
        dense: The parent, likewise.
        out: Folder to make, whole or absent.
        text: As for `calibrate`, but no batches: a file, a folder or a data set of the hub; None
            for the embedded text. About every sixteenth block is held out.
        settings: How to train.
        device: `"cpu"`, `"cuda"` ...; None for CUDA where there is one.
        dtype: That both models compute in, `"bfloat16"` or `"float32"`; None for bfloat16 where
            the device has units for it. Weights are trained in float32.
        force: Replace `out` if it exists.
        command: Command line to quote in the model card.
        status: Called with what is being done.
        progress: Called with each step and the share of the way that is gone.

    Raises:
        CheckpointError: One cannot be read, or they do not belong together.
        OutputError: `out` exists, or cannot be written.
        PlanError: `mup_factors` are asked for, and child and parent have the same widths.
        RunError: The text is too short, the loss is not finite, or the state beside `out` is one
            of other settings.
        UnsupportedModelError: The model's family cannot be healed.

    Memory: 16 bytes a parameter of the child, and both models in `dtype`.
    """
    import torch

    start = time.monotonic()
    settings, out = settings or HealSettings(), Path(out).absolute()
    say = status or (lambda _: None)
    check_free(out, force=force)
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_place(device, dtype)
    with opened_pair(child, dense) as pair:
        for each in (pair.child, pair.parent):
            refuse_overlap(each.path, out)
        check_space(pair.child, out)
        dtype = compute_dtype(pair.child, device, dtype)
        say("reading text")
        blocks = read_blocks(text, pair.tokenizer, settings.to_read(torch.device(device).type))
        wanted = _decisive(settings, pair, blocks, dtype)
        with state_folder(out, wanted) as folder, bounded(torch.device(device).type):
            run = _Run(pair, blocks, settings, folder, start, device, dtype, say)
            run.train(progress or (lambda _step, _share: None))
            say("measuring on held-out text")
            weights = run.finished()
            after = judge(run.child, run.parent, blocks.held_out, run.micro)
            found = run.healing(out, after)
            write_healed(
                pair.child, out, weights, _record(pair, blocks, found), force=force, command=command
            )
    return found


def _decisive(settings: HealSettings, pair: Pair, blocks: Blocks, dtype: str) -> dict[str, Any]:
    """Everything that decides what comes out."""
    return {
        **asdict(settings),
        "mup_factors": settings.mup_factors or None,  # as in states from before there were any
        "child": pair.child_fingerprint,
        "parent": pair.parent_fingerprint,
        "text": blocks.fingerprint,
        "dtype": dtype,
    }


class _Run:
    """One process at work on a healing, perhaps after others."""

    def __init__(
        self,
        pair: Pair,
        blocks: Blocks,
        settings: HealSettings,
        folder: StateFolder,
        start: float,
        device: str,
        dtype: str,
        say: Callable[[str], None],
    ) -> None:
        earlier = folder.load()
        facts: Mapping[str, Any] = earlier[1] if earlier else {}
        self._pair, self._blocks, self._settings, self._folder = pair, blocks, settings, folder
        self._place = device, dtype
        change = width_change(pair.child, pair.parent) if settings.mup_factors else None
        self._factors = {} if change is None else factors_of(change)
        gone = float(facts.get("seconds", 0.0))
        self.spent: Callable[[], float] = lambda: gone + time.monotonic() - start
        say("loading both models")
        self.child = model_in(pair.child, "float32", device)
        self._names = stored_names(pair.child, self.child)
        if settings.lora is not None:
            add_lora(self.child, settings.lora, settings.seed)
        exact = None if dtype == "float32" else narrowed(self.child, dtype)
        self.parent = model_in(pair.parent, dtype, device)
        self.micro = max(1, settings.at_once(self.child.device.type) // blocks.rows.shape[1])
        seconds = self._judge_before(facts, say)
        self._trainer = Trainer(
            self.child, self.parent, blocks.rows, settings,
            exact=exact, spent=self.spent, reserve=seconds,
            factors={self._names[stored]: by for stored, by in self._factors.items()},
        )  # fmt: skip
        if earlier:
            say("going on where an earlier run ended")
            self._trainer.masters.load(earlier[0])
            self._trainer.curve += [Step(**step) for step in facts["curve"]]
            self._trainer.begun = facts["begun"]

    def _judge_before(self, facts: Mapping[str, Any], say: Callable[[str], None]) -> float:
        """The pruned child on the blocks held out, and how many seconds that takes."""
        if "before" in facts:
            values = {name: tuple(of_blocks) for name, of_blocks in facts["before"].items()}
            self._before = HeldOut(blocks=Blockwise(**values))
            return float(facts["judging_seconds"])
        say("measuring on held-out text")
        begun = time.monotonic()
        self._before = judge(self.child, self.parent, self._blocks.held_out, self.micro)
        return time.monotonic() - begun

    def train(self, progress: Callable[[Step, float], None]) -> None:
        """All steps that are left; the state is kept now and then, and when it ends early."""
        trainer, saved = self._trainer, self.spent()
        with _interrupts() as interrupted:
            while not trainer.done:
                try:
                    step = trainer.step(interrupted)
                except RunError as error:
                    if not trainer.curve:  # nothing is worth keeping
                        raise
                    self._save()
                    raise RunError(
                        f"{error}, once {self._folder.path} with the state before it is removed"
                    ) from error
                if step:
                    progress(step, trainer.share)
                if interrupted():
                    self._save()
                    raise KeyboardInterrupt
                if self.spent() - saved > SAVE_SECONDS:
                    self._save()
                    saved = self.spent()
        self._save()  # measuring and writing may still be cut short

    def _save(self) -> None:
        facts = {
            "seconds": self.spent(),
            "begun": self._trainer.begun,
            "judging_seconds": self._trainer.reserve,
            "before": asdict(self._before.blocks),
            "curve": [asdict(step) for step in self._trainer.curve],
        }
        self._folder.save(self._trainer.masters.state(), facts)

    def finished(self) -> dict[str, Tensor]:
        """The healed weights by their stored names; `child` then is the model that has them."""
        import torch

        weights = dict(self._trainer.masters.weights)
        if self._settings.lora is not None:
            weights = self._merged(weights)
        return {stored: torch.as_tensor(weights[name]) for stored, name in self._names.items()}

    def _merged(self, updates: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """All weights in float32 with the low-rank updates added, padding left alone."""
        import torch

        device, dtype = self._place
        model = model_in(self._pair.child, "float32", device)
        architecture = self._pair.child.architecture
        masks = padding(dict(model.named_parameters()), architecture)
        add_lora(model, self._settings.lora or 1, self._settings.seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name in updates:
                    parameter.copy_(updates[name])
        merge_lora(model)
        clear(dict(model.named_parameters()), architecture, masks)
        weights = {name: p.detach().clone() for name, p in model.named_parameters()}
        narrowed(model, dtype)
        self.child = model
        return weights

    def healing(self, out: Path, after: HeldOut) -> Healing:
        """What came of it."""
        trainer = self._trainer
        return Healing(
            out=out,
            settings=self._settings,
            source=self._blocks.source,
            tokens=trainer.curve[-1].tokens,
            epochs=trainer.epochs,
            seconds=self.spent(),
            factors=self._factors,
            curve=tuple(trainer.curve),
            before=self._before,
            after=after,
            told=tuple(self._told(after)),
        )

    def _told(self, after: HeldOut) -> Iterator[str]:
        if shown(gain_of(self._before, after)) == "further":
            yield (
                "the healed model is further from its parent than before: take a lower learning "
                "rate, or more text"
            )
        epochs = self._trainer.epochs
        if epochs > 1:
            yield (
                f"{self._blocks.tokens:,} tokens of text were there to train on, and were gone "
                f"through {epochs:.1f} times; more text heals better"
            )
        if self._pair.same_width:
            yield "the pruned model is as wide as its parent"


@contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """While open, the first Ctrl-C is only noted; the second one acts as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler
    seen: list[bool] = []

    def note(*_: object) -> None:
        seen.append(True)
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)


def _record(pair: Pair, blocks: Blocks, found: Healing) -> dict[str, Any]:
    """What lies beside the result as JSON, but the fingerprint of its weights."""
    parts = {
        name: {
            "name": checkpoint.name,
            "fingerprint": digest,
            "intermediate_size": checkpoint.architecture.intermediate_size,
        }
        for name, checkpoint, digest in (
            ("child", pair.child, pair.child_fingerprint),
            ("parent", pair.parent, pair.parent_fingerprint),
        )
    }
    gain = found.gain
    several = gain.n > 1
    return {
        "format": FORMAT,
        **parts,
        "child_refit": refit_facts(pair.child.path),
        "text": {
            "source": blocks.source,
            "fingerprint": blocks.fingerprint,
            "tokens": blocks.tokens,
            "held_out_blocks": len(blocks.held_out),
            "block_tokens": blocks.rows.shape[1],
        },
        "settings": asdict(found.settings),
        "learning_rate": found.settings.rate,
        "learning_rate_factors": dict(found.factors) or None,
        "tokens": found.tokens,
        "epochs": found.epochs,
        "seconds": found.seconds,
        "before": found.before.summary(),
        "after": found.after.summary(),
        "gain_nats": gain.value,
        "gain_interval": (gain.low, gain.high) if several else None,
        "gain_p_value": gain.p_value if several else None,
        "told": list(found.told),
        "curve": [asdict(step) for step in found.curve],
    }
