"""What came out of a shrink, read from its folder, and what may be said of it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ..arch import default_alignment
from ..cut.checkpoint import read_refit_record, resolve_model
from ..cut.gguf import PLAIN
from ..findings import Table, TaskPair, busiest, load_warnings, task_pairs
from ..prune.healing import HealingRecord, read_healing_record
from ..report import DISTANCE_KEY, FROM_DENSE
from ..runs import RECORDS
from ..stats import NOTHING, estimate_text, grouped, joined, number, percent, unit_text
from ..study import Continuation, Record, read_study
from .loss import Loss, loss_of
from .plan import ShrinkPlan
from .search import WidthSearch
from .settings import ShrinkSettings
from .speed import WHOLE, SpeedRatio, speed_ratios
from .stages import CUT, DECODED, ITEMS_AFTER, ITEMS_BEFORE, MODEL, SPEED, FinishedStage

_WORDS = {
    "degrades": "It is shown to be worse on {}",
    "improves": "It is shown to be better on {}",
    "no change shown": "No change is shown on {}",
    "too few items": "There are too few items to see a change on {}",
    "at the floor": "On {} it is no better than an answerer that understands nothing",
}


@dataclass(frozen=True, kw_only=True)
class ShrinkResult:
    """What a shrink did so far.

    Attributes:
        plan: What was planned.
        settings: What was asked.
        folder: Where everything is.
        stages: The stages that are done, by their names.
        search: The search for a width; None where shapes told it.
    """

    plan: ShrinkPlan
    settings: ShrinkSettings
    folder: Path
    stages: Mapping[Hashable, FinishedStage]
    search: WidthSearch | None = None

    @property
    def model(self) -> Path:
        """The checkpoint."""
        return self.folder / MODEL

    @property
    def file(self) -> Path:
        """What is deployed: the GGUF file, or the folder of the checkpoint."""
        return self.folder / f"{MODEL}.gguf" if self.settings.gguf else self.model

    @cached_property
    def file_bytes(self) -> int:
        """Bytes of the deployed file, or files of weights."""
        if self.settings.gguf:
            return self.file.stat().st_size
        return sum(each.stat().st_size for each in self.model.glob("*.safetensors"))

    @cached_property
    def parameters(self) -> int:
        """Parameters of the result."""
        if not self.settings.per_layer:
            return self.plan.sizes.parameters
        with resolve_model(self.model).checkpoint as checkpoint:
            return checkpoint.architecture.parameters

    @cached_property
    def neurons(self) -> str:
        """Neurons of a block: `1216`, or of widths by layers `672 to 1536`."""
        if not self.settings.per_layer:
            return f"{self.plan.sizes.mean_width:g}"
        with resolve_model(self.model).checkpoint as checkpoint:
            return " to ".join(map(str, sorted({min(checkpoint.widths), max(checkpoint.widths)})))

    @property
    def width_words(self) -> str:
        """The width in words; of widths by layers all of them: `widths 672 to 1536`."""
        return f"widths {self.neurons}" if self.settings.per_layer else self.plan.sizes.words

    @property
    def minutes(self) -> float:
        """Time of all stages."""
        return sum(stage.seconds for stage in self.stages.values()) / 60

    @cached_property
    def healing(self) -> HealingRecord | None:
        """What the healing did; None without one."""
        return read_healing_record(self.model)

    @cached_property
    def pairs(self) -> tuple[TaskPair, ...]:
        """Each task before and after, on the same items."""
        before, after = (
            read_study(self.folder / place).records for place in (ITEMS_BEFORE, ITEMS_AFTER)
        )
        return tuple(task_pairs(after, before))

    @cached_property
    def texts(self) -> tuple[tuple[str, Continuation], ...]:
        """What both models wrote after the same prompts: when, and the text."""
        places = {"before": ITEMS_BEFORE, "after": ITEMS_AFTER}
        studies = {when: read_study(self.folder / place) for when, place in places.items()}
        return tuple((when, text) for when, study in studies.items() for text in study.texts)

    @cached_property
    def speeds(self) -> tuple[SpeedRatio, ...]:
        """The times that could be measured."""
        widths = sorted({record.width for record in self._timed}, reverse=True)
        both = [[r for r in self._timed if r.width == width] for width in widths]
        return tuple(speed_ratios(*both)) if len(both) == 2 else ()

    @cached_property
    def _timed(self) -> tuple[Record, ...]:
        """What the speed was measured to be; nothing where memory did not allow it."""
        folder = self.folder / SPEED
        return tuple(read_study(folder).records) if (folder / RECORDS).exists() else ()

    @property
    def _no_speed(self) -> str:
        """Why a time is missing."""
        return next((record.reason for record in self._timed if record.reason), "no reason is kept")

    @property
    def degraded(self) -> tuple[str, ...]:
        """The tasks that are shown to be worse."""
        return tuple(pair.quantity for pair in self.pairs if pair.word == "degrades")

    @cached_property
    def loss(self) -> Loss | None:
        """The share of its scores that it lost, where only so much is allowed."""
        goal = self.plan.goal
        return loss_of(self.pairs, float(goal.amount)) if goal.kind == "max_loss" else None

    @property
    def whole_speed(self) -> SpeedRatio | None:
        """How much faster a prompt and what is written after it are; None where not measured."""
        return next((speed for speed in self.speeds if speed.metric == WHOLE), None)

    @property
    def is_kept(self) -> bool:
        """Whether the result is what was asked for."""
        goal = self.plan.goal
        if goal.kind == "faster":
            return self.whole_speed is not None and self.whole_speed.is_shown(float(goal.amount))
        if self.loss is not None:
            return self.loss.is_within
        most = goal.most_bytes(self.plan.file)
        return most is None or self.file_bytes <= most

    def said_of(self, stage: str) -> Iterator[str]:
        """Sentences on what a stage did."""
        done = self.stages[stage]
        if self.search and (trial := self.search.trial_of(stage)):
            yield f"{trial}."
        elif stage == "cut":
            if self.search and self.search.end_words:
                yield self.search.end_words
            yield from self.refit_sentences
        elif stage == "heal":
            yield self.healing_sentence
        elif stage == "speed" and not self.speeds:
            yield f"Speed was not measured: {done.reason or self._no_speed}."

    @property
    def refit_sentences(self) -> tuple[str, ...]:
        """What the cut loses on held-out text, before any healing."""
        folder = self.folder / CUT if (self.folder / CUT).exists() else self.model
        record = read_refit_record(folder)
        losses = record.losses if record else ()
        return tuple(f"After the cut and its refit: {loss}." for loss in losses)

    @property
    def healing_sentence(self) -> str:
        """What the healing gained, or why there was none."""
        record = self.healing
        if record is None:
            return f"It was not healed: {self.stages['heal'].reason}."
        return (
            f"Healed in {record.seconds / 60:.1f} minutes on {record.tokens:,} tokens: KL "
            f"{record.before.nats} to {record.after.nats} nats a token, perplexity over dense "
            f"{record.before.ratio} to {record.after.ratio}, on {record.after.blocks} blocks held "
            "out."
        )

    @property
    def table(self) -> Table:
        """Every task before and after."""
        return Table.of(
            self.pairs,
            {
                "task": lambda pair: pair.quantity,
                "before": lambda pair: _score(pair.other.value, pair.own),
                "after": lambda pair: _score(pair.own.value, pair.own),
                "change [95 %]": lambda pair: pair.difference or "not paired",
                "verdict": lambda pair: pair.word,
                "measure": lambda pair: _measure(pair.own),
                "floor": lambda pair: _score(pair.own.floor, pair.own),
                "items": lambda pair: f"{pair.own.n:,}",
            },
            title="Before and after",
            about="The same items, asked of the model without a cut and of the result"
            + self._asked_in,
        ).nonempty()

    @property
    def distance_table(self) -> Table:
        """How far the result is from the model on every task."""
        table = Table.of(
            self.pairs,
            {"task": lambda pair: pair.quantity, **FROM_DENSE},
            title="How far from the model without a cut",
            about="Its next words and answers beside those of the model without a cut (dense)",
            notes=[DISTANCE_KEY],
        ).nonempty()
        return table if len(table.header) > 1 else replace(table, rows=())

    @property
    def _asked_in(self) -> str:
        """What was asked, where a file is deployed whose numbers are others."""
        kind = self.settings.gguf
        if kind in (None, *PLAIN):
            return ""
        if any(Path(pair.own.model).name == DECODED for pair in self.pairs):
            return f", by their {kind} files, decoded"
        return (
            f", as a checkpoint, because transformers cannot read the {kind} file; what that loses "
            "on top is not known"
        )

    @property
    def speed_table(self) -> Table:
        """The times before and after."""
        return Table.of(
            self.speeds,
            {
                "what": lambda speed: speed.what,
                "before": lambda speed: speed.both[0],
                "after": lambda speed: speed.both[1],
                "times as fast [95 %]": lambda speed: estimate_text(speed.ratio),
            },
            title="Speed",
            about=self._how_timed,
            notes=load_warnings(self._timed),
        )

    @property
    def _how_timed(self) -> str:
        """What was done to time both, and by what."""
        what = "a prompt of 512 tokens, then 32 new ones; together: new tokens over all seconds"
        if self.settings.gguf is None:
            return f"Both models in turn: {what}"
        told = self._timed[0].settings if self._timed else {}
        by = ", ".join(str(told[name]) for name in ("build", "device") if told.get(name))
        return f"Both {self.settings.gguf} files in turn by llama.cpp ({by}): {what}"

    @property
    def trial_table(self) -> Table:
        """The widths that were tried."""
        return Table.of(
            self.search.trials if self.search else (),
            {
                "neurons removed": lambda trial: percent(trial.removed),
                "found [95 %]": lambda trial: str(trial.found),
                "what was asked": lambda trial: "shown" if trial.is_enough else "not shown",
            },
            title="Widths that were tried",
            about="Each as it was cut, before any healing",
        )

    @property
    def size_words(self) -> str:
        """How large the deployed file is, beside that of the dense model."""
        dense = self.plan.dense_bytes
        return (
            f"{self.plan.file} has {number(self.file_bytes, 'bytes')}, "
            f"{percent(1 - self.file_bytes / dense)} less than the {number(dense, 'bytes')} "
            "without a cut"
        )

    @property
    def verdict(self) -> str:
        """What was asked, whether it was reached, what it cost, and whether it is worth it."""
        reached = "reached" if self.is_kept else "not reached"
        faster = [str(speed) for speed in self.speeds if speed.is_shown()]
        sentences = [
            f"Asked: {self.plan.goal.words}; {reached}, as {self._why}. {self._lost_words}."
        ]
        if self.search and self.search.end_words:
            sentences.append(self.search.end_words)
        if self._why != self.size_words:
            sentences.append(f"{self.size_words[0].upper()}{self.size_words[1:]}.")
        if faster:
            sentences.append(f"On this machine {joined(faster)}.")
        elif self.speeds:
            busy = ", which had other work meanwhile" if busiest(self._timed) else ""
            sentences.append(f"It is not shown to be faster on this machine{busy}.")
        return " ".join(filter(None, [*sentences, self._worse_deal]))

    @property
    def _why(self) -> str:
        """What was asked for as it was got."""
        if self.loss is not None:
            return f"there is {self.loss}"
        if self.plan.goal.kind == "remove":
            return self._removed_words
        if self.plan.goal.kind != "faster":
            return self.size_words
        return str(self.whole_speed or f"speed was not measured: {self._no_speed}")

    @property
    def _removed_words(self) -> str:
        """The share that went, and why it is more than was asked."""
        sizes, step = self.plan.sizes, self.plan.file.alignment or 0
        is_coarse = step > default_alignment(sizes.intermediate_size)
        kind = self.settings.gguf
        steps = f"; blocks of {kind} need widths in steps of {step}" if is_coarse else ""
        width = f"{self.width_words} of {sizes.intermediate_size}"
        return f"{percent(sizes.removed)} of them are ({width}{steps})"

    @property
    def _worse_deal(self) -> str:
        """Why the narrowed model is the worse deal; "" where that is not known."""
        begin = "The narrowed model is the worse deal: it lost, and"
        if not self.degraded:
            return ""
        if not self.is_kept:
            return f"{begin} is not what was asked."
        if self.plan.is_cheaper:
            return f"{begin} what saves without a cut would do what is asked."
        if self.speeds and all(speed.is_no_gain for speed in self.speeds):
            return "Who needs speed has the better deal in the model without a cut."
        return ""

    @property
    def _lost_words(self) -> str:
        words = grouped((pair.word, pair.quantity) for pair in self.pairs)
        if not words:
            return "No task could be compared, so what it lost is not known"
        said = [
            _WORDS.get(word, f"On {{}} it is not compared: {word}").format(joined(names))
            for word, names in words.items()
        ]
        return "; ".join([said[0], *(each[0].lower() + each[1:] for each in said[1:])])


def _score(value: float | None, record: Record) -> str:
    return NOTHING if value is None else number(value, record.unit)


def _measure(record: Record) -> str:
    """The unit of a score, and its better direction where that is down."""
    return unit_text(record.unit) + ("" if record.higher_is_better else ", lower is better")
