"""The steps of a shrink, each one call of the library into a part of its folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..assets import convert_gguf
from ..cut.checkpoint import HEALING_FILE, ModelSource, resolve_model
from ..cut.gguf import PLAIN, export_gguf
from ..errors import OutputError, RunError, UnsupportedModelError
from ..io import check_new_file, free_bytes
from ..measure import find_llama_cpp
from ..prune import PruneSpec, in_bytes, prune
from ..prune.healing import HealSettings, NotBetter, TrainingStep, heal
from ..runs import ProgressCallback
from ..study import (
    CostSettings,
    CostStudy,
    Evaluation,
    FileCostSettings,
    FileCostStudy,
    read_study,
)
from .plan import healing_bytes
from .settings import ShrinkSettings
from .stages import (
    DECODED,
    DENSE_DECODED,
    DENSE_FILE,
    ITEMS_AFTER,
    ITEMS_BEFORE,
    MODEL,
    evaluation_place,
    share_of,
    trial_file,
)

_WORKLOAD = "512x32"


@dataclass(frozen=True, kw_only=True)
class Steps:
    """What stages call.

    Attributes:
        path: The folder of the shrink.
        settings: What is asked.
        source: The model.
        command: Command line to quote in the model card.
        on_progress: Called with the share of a step that is done, and what is done now.
    """

    path: Path
    settings: ShrinkSettings
    source: ModelSource
    command: str | None
    on_progress: ProgressCallback

    def ask_before(self) -> None:
        """Ask the model without a cut, as it would be deployed."""
        self._before(self._tell("before")).run()

    def ask_after(self) -> None:
        """Ask the result the same items."""
        self._ask_deployed(MODEL, self._file, ITEMS_AFTER, "after")
        shutil.rmtree(self.path / DENSE_DECODED, ignore_errors=True)

    def ask_trial(self, checkpoint: str, share: str) -> None:
        """Ask a cut that is tried the same items, as it would be deployed."""
        file = self.path / trial_file(share)
        if self._is_asked_decoded and not file.exists():  # one that is there is whole
            self._write(ModelSource(self.path / checkpoint, file.stem), file)
        self._ask_deployed(checkpoint, file, evaluation_place(share), f"try {share} %")
        file.unlink(missing_ok=True)

    @property
    def _is_asked_decoded(self) -> bool:
        """Whether the file that is deployed has other numbers than the checkpoint, and can be
        decoded: transformers knows no file of widths by layers."""
        return self.settings.gguf not in (None, *PLAIN) and not self.settings.per_layer

    def _ask_deployed(self, checkpoint: str, file: Path, place: str, when: str) -> None:
        """Ask a checkpoint; where its file has numbers in blocks that, decoded, if transformers can
        read it."""
        if not self._is_asked_decoded:
            self._ask(checkpoint, place, when)
            return
        decoded = self.path / DECODED
        try:
            shutil.rmtree(decoded, ignore_errors=True)
            self.on_progress(0.0, f"{when}: decoding {file.name}")
            convert_gguf(file, decoded, "bfloat16")
        except UnsupportedModelError:  # the table of results says it
            self._ask(checkpoint, place, when)
            return
        self._ask(DECODED, place, when)
        shutil.rmtree(decoded)

    def _ask(self, model: str, place: str, when: str) -> None:
        """Ask a checkpoint of the folder the same items."""
        before = self._before(lambda *_: None)
        before.run()  # it has every score; what it says next is asked again as far as needed
        settings = self.settings.evaluation(str(self.path / model), self._dtype)
        tell = self._tell(when)
        Evaluation(self.path / place, settings, on_progress=tell, against=before).run()

    def _before(self, on_progress: ProgressCallback) -> Evaluation:
        """The evaluation of the model without a cut."""
        settings = self.settings.evaluation(self._dense())
        return Evaluation(self.path / ITEMS_BEFORE, settings, on_progress=on_progress)

    def _dense(self) -> str:
        """The model without a cut; where a file is deployed that has numbers in blocks the same
        file of it, decoded, so that only the cut tells the two apart."""
        decoded, file = self.path / DENSE_DECODED, self.path / DENSE_FILE
        if not self._is_asked_decoded:
            return self.settings.model
        try:
            if not decoded.exists():  # one that is there is whole
                self._write(self.source, file)
                convert_gguf(file, decoded, "bfloat16")
        except UnsupportedModelError:
            return self.settings.model
        finally:
            file.unlink(missing_ok=True)
        return str(decoded)

    def _tell(self, what: str) -> ProgressCallback:
        return lambda share, label: self.on_progress(share, f"{what}: {label}")

    @property
    def _dtype(self) -> str:
        """The dtype in which the model was asked before."""
        return str(read_study(self.path / ITEMS_BEFORE).settings["dtype"])

    def cut(self, spec: PruneSpec, place: str, what: str) -> None:
        """Cut and refit the model into a folder, which may be whole already."""
        out = self.path / place
        if (out / "config.json").exists():  # written whole, and the process was killed then
            return
        layers, passes = self.source.checkpoint.architecture.layers, 1 + self.settings.per_layer
        done = 0

        def tell(layer: int) -> None:
            nonlocal done
            done += 1
            share = done / (layers * passes)
            self.on_progress(share, f"{what}: layer {layer + 1} of {layers}")

        first = "each layer is cut alone to see what it loses; " if passes > 1 else ""
        label = f"{what}: {first}{layers} layers are refitted, then rows are scaled"
        self.on_progress(0.0, label)
        prune(
            self.source,
            out=out,
            command=self.command,
            progress=tell,
            dtype=self.settings.dtype,
            text=self.settings.text,
            per_layer=self.settings.per_layer,
            **_width_of(spec),
        )

    def time_models(self, place: str, models: Sequence[str]) -> str | None:
        """Time models in turn; gives the reason why that cannot be, such as too little memory."""
        return self._time(place, tuple(models), ())

    def time_widths(self, place: str, specs: Sequence[PruneSpec]) -> str | None:
        """Time the model in turn with itself at some widths."""
        return self._time(place, (self.settings.model,), tuple(s.target.text for s in specs))

    def _time(self, place: str, models: tuple[str, ...], widths: tuple[str, ...]) -> str | None:
        settings = CostSettings(
            models=models,
            widths=widths,
            workloads=(_WORKLOAD,),
            seed=self.settings.seed,
            energy=False,
            dtype=self._dtype,
            device=self.settings.device,
        )
        try:
            CostStudy(self.path / place, settings, on_progress=self._tell("speed")).run()
        except RunError as error:  # such as memory for one model at a time
            return str(error)
        return None

    def time_files(self, place: str, specs: Sequence[PruneSpec] = ()) -> str | None:
        """Have llama.cpp time GGUF files in turn; gives the reason why that cannot be.

        Args:
            place: Folder of what it tells.
            specs: Cuts that are timed beside the model; none for the file of the result. They are
                made by weights alone, as only shapes matter for speed.

        All files but that of the result are written for this, and removed.
        """
        dense = self.path / DENSE_FILE
        cuts = {self.path / trial_file(share_of(spec)): spec for spec in specs}
        files = (dense, *(cuts or [self._file]))
        settings = FileCostSettings(
            models=tuple(map(str, files)), workloads=(_WORKLOAD,), seed=self.settings.seed
        )
        try:
            find_llama_cpp()
            for file in (dense, *cuts):
                if not file.exists():  # one that is there is whole: the process was killed then
                    self._write_timed(file, cuts.get(file))
            FileCostStudy(self.path / place, settings, on_progress=self._tell("speed")).run()
        except (RunError, OutputError) as error:
            return str(error)
        finally:
            for file in (dense, *cuts):
                file.unlink(missing_ok=True)
        return None

    def _write_timed(self, out: Path, spec: PruneSpec | None) -> None:
        """The file of the model, or of a cut by weights alone."""
        if spec is None:
            self._write(self.source, out)
            return
        folder = out.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        try:
            self.on_progress(0.0, f"speed: cutting {spec.target.text}")
            prune(self.source, out=folder, criterion="ppm", **_width_of(spec))
            self._write(ModelSource(folder, folder.name), out)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def heal(self, place: str, minutes: float) -> str | None:
        """Heal a checkpoint of the folder; gives the reason why that cannot be."""
        out = self.path / MODEL
        if (out / HEALING_FILE).exists():
            return None
        if minutes <= 0:
            return f"the other stages take the {self.settings.minutes:g} minutes that there are"
        cut = resolve_model(self.path / place)
        if lack := self._lack_of_memory(cut):
            return lack
        self.on_progress(0.0, f"heal: up to {minutes:.1f} minutes")

        def tell(step: TrainingStep, share: float) -> None:
            self.on_progress(share, f"heal: loss {step.loss:.3f}")

        try:
            heal(
                cut,
                self.source,
                out=out,
                settings=HealSettings(minutes=minutes, seed=self.settings.seed),
                progress=tell,
                text=self.settings.text,
                device=self.settings.device,
                command=self.command,
            )
        except NotBetter as error:
            return str(error)
        return None

    def _lack_of_memory(self, cut: ModelSource) -> str | None:
        """Why memory does not allow a healing; None where it does."""
        import torch

        device = self.settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
        narrow, dense = (s.checkpoint.architecture.parameters for s in (cut, self.source))
        needed = healing_bytes(narrow, dense)
        free = free_bytes(device.partition(":")[0])
        if needed < free:
            return None
        return f"training all weights takes {in_bytes(needed)} of memory, {in_bytes(free)} are free"

    @property
    def _file(self) -> Path:
        """The GGUF file of the result."""
        return self.path / f"{MODEL}.gguf"

    def export(self, place: str, name: str) -> None:
        """Write the GGUF file of a checkpoint of the folder."""
        self._write(ModelSource(self.path / place, name), self._file)

    def _write(self, source: ModelSource, out: Path) -> None:
        assert self.settings.gguf is not None
        check_new_file(out, force=True)
        self.on_progress(0.0, f"gguf: writing {out.name}")
        folder = ModelSource(source.path, source.name)  # of a GGUF file, that with its numbers
        export_gguf(folder, out, self.settings.gguf, force=True)


def _width_of(spec: PruneSpec) -> Any:
    """The width of a cut, as `prune` is asked for it."""
    return {spec.target.kind: spec.target.text, "align": spec.align}
