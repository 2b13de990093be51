"""`calibrate`: the second moments of all layers of a model over one text, kept and added up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from ...cut import CalibrationSource, Weights, fingerprint
from ...errors import OutputError, PlanError, RunError
from ...io import TensorSpec, from_plain, replace_file, stream_safetensors, tensor_bytes
from ..opened_model import open_model
from .layerwise import LayerwiseRunner
from .moments import FitAndHoldout, Moments
from .text import TextOptions, TextRequest

if TYPE_CHECKING:
    from ..opened_model import Model

FORMAT = "widthwise moments 1"
LayerCallback = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Second moments of the activations of every GLU block of a dense model.

    They do not depend on a width: any number of widths, by any criterion, can be made of them.

    Attributes:
        model: Fingerprint of the GLU weights that the activations are of.
        parts: The texts that were added up.
        layers: Layer to its moments; of a file, read when asked for, so that those of one layer
            are in memory at a time.

    Memory: 8 I^2 bytes a layer (two halves in float32), on disk or in memory.
    """

    model: str
    parts: tuple[CalibrationSource, ...]
    layers: Mapping[int, FitAndHoldout]

    def merged(self, other: Calibration) -> Calibration:
        """The calibration on the texts of both; sums of a file stay there until a layer is read.

        Raises:
            RunError: They are of different models, or a text is in both.
        """
        if self.model != other.model:
            raise RunError("calibrations of models with different GLU weights cannot be added")
        common = {part.fingerprint for part in self.parts} & {p.fingerprint for p in other.parts}
        if common:
            raise RunError(
                "calibrations with a text in common cannot be added: the text would count twice"
            )

        def both(layer: int) -> FitAndHoldout:
            return self.layers[layer].merged(other.layers[layer])

        return Calibration(
            model=self.model,
            parts=self.parts + other.parts,
            layers=_Layers(len(self.layers), both),
        )

    def check(self, weights: Weights) -> None:
        """Raise PlanError unless the calibration was made for these weights."""
        if self.model != fingerprint(weights):
            raise PlanError(
                "the calibration was made for a model whose GLU weights are not those of "
                f"{weights.name}; calibrate {weights.name}"
            )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write a safetensors file, whole or not at all, one layer after the other.

        Raises:
            OutputError: The file exists (without `force`) or cannot be written.
        """
        size = len(self.layers[0].fit.total)
        with _file(Path(path), self, len(self.layers), size, force=force) as write:
            for layer in range(len(self.layers)):
                write(layer, self.layers[layer])

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote; only the head, until a layer is asked for.

        Raises:
            RunError: The file is missing, damaged or another kind of file.
        """
        import safetensors

        path = Path(path)
        try:
            with safetensors.safe_open(path, "pt") as file:
                head = file.metadata() or {}
            if head.get("format") != FORMAT:
                raise RunError(f"{path}: holds no moments of widthwise")
            parts = from_plain(tuple[CalibrationSource, ...], json.loads(head["parts"]), "parts")
            count, model = int(head["layers"]), head["model"]
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: cannot be read as moments: {error}") from error
        fit = sum(part.fit_tokens for part in parts)
        held_out = sum(part.held_out_tokens for part in parts)

        def read(layer: int) -> FitAndHoldout:
            with safetensors.safe_open(path, "pt") as file:
                sums = [file.get_tensor(f"layers.{layer}.{half}") for half in ("fit", "held_out")]
            return FitAndHoldout(fit=Moments(sums[0], fit), held_out=Moments(sums[1], held_out))

        return cls(model=model, parts=parts, layers=_Layers(count, read))


class _Layers(Mapping[int, FitAndHoldout]):
    """Moments that are made when a layer is asked for."""

    def __init__(self, count: int, make: Callable[[int], FitAndHoldout]) -> None:
        self._count = count
        self._make = make

    def __getitem__(self, layer: int) -> FitAndHoldout:
        if not 0 <= layer < self._count:
            raise KeyError(layer)
        return self._make(layer)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._count))

    def __len__(self) -> int:
        return self._count


def each_layer(layers: int, progress: LayerCallback | None) -> Iterator[int]:
    """Layers in order; `progress` is called with each one when the next is asked for."""
    for layer in range(layers):
        yield layer
        if progress:
            progress(layer)


def calibrate(
    model: Model,
    *,
    out: str | Path | None = None,
    progress: LayerCallback | None = None,
    **text: Unpack[TextOptions],
) -> Calibration:
    """Run a dense model over a text and sum up the second moments of its activations.

    Args:
        model: A `transformers` model, a checkpoint folder, a `.gguf` file, a hub id, or
            `"smollm2"`. From disk it is loaded.
        out: A file to write the moments to as they are made, and to read them from.
        progress: Function that is called with each layer that is done.
        **text: The text, as `TextOptions` name it.

    Raises:
        RunError: The text, or the model's activations on it, cannot be calibrated on.

    Cost: about one forward pass, and 1.3 I^2 multiplications and additions a layer and token.
    """
    request = TextRequest(**text)
    with open_model(model) as opened:
        weights = opened.weights
        weights.architecture.refuse_unless_uniform("keeping moments (calibrate)")
        read = request.read(opened)
        read.refuse_uneven()
        made: dict[int, FitAndHoldout] = {}
        result = Calibration(model=fingerprint(weights), parts=(read.summary,), layers=made)
        with ExitStack() as stack:
            keep: Callable[[int, FitAndHoldout], object] = made.__setitem__
            if out is not None:
                sizes = weights.architecture.layers, weights.architecture.intermediate_size
                keep = stack.enter_context(_file(Path(out), result, *sizes))
            runner = stack.enter_context(LayerwiseRunner(opened.module, read))
            for layer in each_layer(weights.architecture.layers, progress):
                keep(layer, runner.moments(layer, advance=True)[layer].cpu())
    return result if out is None else Calibration.load(out)


@contextmanager
def _file(
    path: Path, head: Calibration, layers: int, size: int, *, force: bool = False
) -> Iterator[Callable[[int, FitAndHoldout], None]]:
    """A moments file to be filled layer by layer; it appears when the block ends well."""
    if path.exists() and not force:
        raise OutputError(f"{path} already exists; choose another file")
    parts = json.dumps([asdict(part) for part in head.parts])
    meta = {"format": FORMAT, "model": head.model, "parts": parts, "layers": str(layers)}
    names = [f"layers.{i}.{half}" for i in range(layers) for half in ("fit", "held_out")]
    specs = dict.fromkeys(names, TensorSpec((size, size), "F32"))
    with (
        replace_file(path, shared=True) as partial,
        stream_safetensors(partial, specs, meta) as write,
    ):

        def add(_: int, halves: FitAndHoldout) -> None:
            write(tensor_bytes(halves.fit.total))
            write(tensor_bytes(halves.held_out.total))

        yield add
