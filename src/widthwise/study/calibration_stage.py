"""The networks of a study that calibration text decides."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__
from ..cut import Plan, Refit
from ..cut.checkpoint import table_rows
from ..errors import RunError, WidthwiseError
from ..prune import CutEstimate, in_minutes, measured_pace, open_model
from ..prune.calibration import CalibrationText, least_tokens, read_text
from ..prune.refitting import refit, refits
from .dense_model import DenseModel
from .evaluate_settings import EvaluateSettings
from .records import Record
from .refit_cache import RefitCache
from .variant import SCALES, Variant, is_calibrated

OnShare = Callable[[float, str], None]
_MORE = f" (what prune writes by default is activation+refit{SCALES})"
CALIBRATING = "calibrating"  # a label of this work begins so


class CalibrationStage:
    """The plans and refits that calibration text decides.

    All widths of a criterion are made together, from one pass over the dense model, when the first
    of them is asked for, and kept in the study's folder; one with scales is made by itself.

    Args:
        parent: Dense model of the networks; its dtype and device must be set before anything else.
        settings: Criteria, widths and text.
        folder: Folder of the study.
    """

    def __init__(self, parent: DenseModel, settings: EvaluateSettings, folder: Path) -> None:
        self._parent = parent
        self._settings = settings
        self._cache = RefitCache(folder)
        self._made: dict[str, tuple[Refit, ...]] = {}
        self._failed: dict[str, WidthwiseError] = {}  # not tried again for each cell

    @cached_property
    def _networks(self) -> dict[str, list[Variant]]:
        """Those that need text, by `name_of`."""
        networks: dict[str, list[Variant]] = {}
        criteria = [c for c in self._settings.criteria if is_calibrated(c)]
        for network in self._parent.networks(self._settings.widths, criteria):
            if network.criterion is not None:
                networks.setdefault(self.name_of(network), []).append(network)
        return networks

    def name_of(self, network: Variant) -> str:
        """What is made for a network, as in `to_make`: the criterion, and a seed, that choose its
        neurons; with scales also its width."""
        seed = network.selection(self._parent.seed).seed
        name = network.chosen_by + (f"~{seed}" if network.chosen_by == "random" else "")
        if not network.is_scaled:
            return name
        return "-".join((f"{name}{SCALES}", *map(str, self._parent.widths(network))))

    @cached_property
    def text(self) -> CalibrationText:
        """The calibration text as tokens of the model.

        Raises:
            RunError: It cannot be read, or has fewer tokens than a refit of this model needs.
        """
        settings = self._settings
        text = read_text(settings.calibration, self._parent.tokenizer, settings.tokens)
        text.check_vocabulary(table_rows(self._parent.checkpoint), self._parent.tokenizer)
        halves = [sum(batch.tokens for batch in half) for half in (text.fit, text.held_out)]
        neurons = max(self._parent.checkpoint.architecture.neurons())
        if min(halves) < neurons:
            raise RunError(
                f"{text.source}: {text.tokens:,} tokens, half of them held out, are too few to "
                f"refit {neurons:,} neurons: take at least {least_tokens(neurons):,} tokens "
                "(--tokens), or a longer text"
            )
        return text

    def check(self) -> None:
        """Read the text, if any network needs it.

        Raises: as `text`.
        """
        if self._networks:
            self.text  # noqa: B018

    def key_parts(self, network: Variant) -> tuple[str, ...]:
        """The part of a cell's key that depends on the text; nothing where it has no say."""
        if not network.is_calibrated:
            return ()
        return (self.text.fingerprint, "layers in turn" if network.is_scaled else "one pass")

    def record_settings(self, network: Variant) -> dict[str, Any]:
        """The settings of a record that name the text; nothing where it has no say."""
        if not network.is_calibrated:
            return {}
        settings: dict[str, Any] = {
            "calibration": self.text.source,
            "calibration_tokens": self.text.tokens,
            "calibration_text": self.text.fingerprint,
        }
        made = self._made.get(self.name_of(network), ()) if network.is_refitted else ()
        widths = self._parent.widths(network)
        fitted = next((refit for refit in made if refit.plan.kind_widths == widths), None)
        return settings | ({} if fitted is None else {"refit_warning": fitted.warning})

    def cuts(self, network: Variant, on_share: OnShare) -> tuple[Plan | Refit, ...]:
        """All that was made for a network's criterion; made now if it is not yet. None of weights
        alone.

        Raises:
            RunError: The text, or the activations on it, do not allow it.
            OutputError: They cannot be kept.
        """
        if not network.is_calibrated:
            return ()
        name = self.name_of(network)
        if name in self._failed:
            raise self._failed[name]
        if name not in self._made:
            try:
                self._made[name] = self._load_or_make(name, on_share)
            except WidthwiseError as error:
                self._failed[name] = error
                raise
        made = self._made[name]
        return made if network.is_refitted else tuple(refit.plan for refit in made)

    @property
    def to_make(self) -> tuple[str, ...]:
        """Names of what no earlier run has calibrated."""
        return tuple(
            name
            for name in self._networks
            if not self._cache.has(self._file(name), self._inputs(name), self._widths(name))
        )

    def time_text(self, name: str) -> str:
        """Roughly how long it takes to make what a name of `to_make` stands for, if nothing else
        runs: `roughly 12 minutes`. Of several widths from one pass it is the time of the narrowest.

        Cost: about a second, for what this machine does in one.
        """
        import torch

        parent, networks = self._parent, self._distinct(name)
        is_scaled = networks[0].is_scaled
        estimate = CutEstimate.of(
            parent.checkpoint.architecture,
            networks[0].selection(parent.seed),
            self._settings.tokens,
            dtype=parent.stored_dtype,
            sequential=is_scaled,
            scales=is_scaled,
        )
        with open_model(parent.files.source) as model:
            dtype = getattr(torch, str(parent.dtype))
            pace = measured_pace(model.weights, dtype, parent.device)
        return f"roughly {in_minutes(estimate.work.seconds(pace))}"

    def _load_or_make(self, name: str, on_share: OnShare) -> tuple[Refit, ...]:
        """Refits from the cache, or made and put there."""
        where = self._file(name), self._inputs(name), self._widths(name)
        made = self._cache.read(*where)
        if made is not None:
            return made
        label = f"{CALIBRATING} {Path(self._parent.name).name}"
        with self._cache.held(where[0], lambda: on_share(0.0, f"{label}: another worker does")):
            made = self._cache.read(*where)
            if made is None:
                self._cache.write(*where[:2], self._make(name, label, on_share))
                made = self._cache.read(*where)
        if made is None:
            raise RunError(
                f"{where[0]}: this file was just written, but cannot be read again; check the disk"
            )
        return made

    def _make(self, name: str, label: str, on_share: OnShare) -> tuple[Refit, ...]:
        layers = self._parent.checkpoint.architecture.layers
        on_share(0.0, f"{label} on {self.text.tokens:,} tokens, {self.time_text(name)}")

        def progress(layer: int) -> None:
            on_share((layer + 1) / layers, f"{label}: {layer + 1} of {layers} layers")

        networks, settings = self._distinct(name), self._settings
        specs = [network.selection(self._parent.seed) for network in networks]
        model = self._parent.in_stored_order
        text: dict[str, Any] = {"tokens": settings.tokens, "tokenizer": self._parent.tokenizer}
        if networks[0].is_scaled:
            (spec,) = specs
            asked = {"text": settings.calibration, **text}
            made: tuple[Refit, ...] = (refit(model, spec, progress=progress, **asked),)
        else:
            made = refits(model, specs, settings.calibration, progress=progress, **text)
        if made[0].parts != self.text.summaries:
            raise RunError(f"{self.text.source} has changed since the study began; run it again")
        return made

    def _distinct(self, name: str) -> list[Variant]:
        """A network a width: `activation` and `activation+refit` keep the same neurons."""
        by_width = {self._parent.widths(network): network for network in self._networks[name]}
        return [by_width[width] for width in sorted(by_width)]

    def _widths(self, name: str) -> list[tuple[int, ...]]:
        return [self._parent.widths(network) for network in self._distinct(name)]

    def _file(self, name: str) -> str:
        return f"{self._parent.digest[:12]}-{name}"

    def _inputs(self, name: str) -> Mapping[str, Any]:
        """Everything that refits depend on, but for their widths."""
        parent = self._parent
        hardware = {"dtype": parent.dtype, "device": parent.device.partition(":")[0]}
        text = {"text": self.text.fingerprint, "criterion": name}
        return {"model": parent.digest, **text, **hardware, "widthwise": __version__}


def calibration_notes(records: Iterable[Record]) -> tuple[str, ...]:
    """Sentences on the calibration text of records, and a warning for each criterion's refits."""
    texts: dict[str, None] = {}
    warned: dict[tuple[str, str | None], dict[str, str]] = {}
    for record in records:
        settings, model = record.settings, Path(record.model).name
        if "calibration" in settings:
            text = f"{settings['calibration_tokens']:,} tokens of {settings['calibration']}"
            how = f"in one pass over the dense model{_MORE}"
            if str(record.criterion).endswith(SCALES):
                how = f"layer after layer, then rows scaled ({record.criterion})"
            texts[f"{model}: calibrated on {text}, {how}"] = None
        if warning := settings.get("refit_warning"):
            warned.setdefault((model, record.criterion), {})[record.asked] = warning
    warnings = []
    for (model, criterion), by_width in warned.items():
        (asked, warning), *others = by_width.items()
        more = f" (and {len(others)} more)" if others else ""
        warnings.append(f"Warning: {model}, {criterion} {asked}{more}: {warning}")
    return (*texts, *warnings)
