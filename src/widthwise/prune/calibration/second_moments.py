"""`calibrate`: the second moments of all layers of a model over one text, kept and added up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...cut import CalibrationSource, ModelWeights, Weights, fingerprint
from ...cut.checkpoint import Checkpoint, check_tokens, load_model, locate, tokenizer_in
from ...errors import OutputError, RunError
from ...io import TensorSpec, replace_file, stream_safetensors, tensor_bytes
from .layerwise import LayerwiseRunner
from .moments import FitAndHoldout, Moments
from .text import TOKENS, CalibrationText, check_source, read_text, text_of

if TYPE_CHECKING:
    from torch import Tensor, nn

FORMAT = "widthwise moments 1"
TextSource = str | Path | Iterable[dict[str, "Tensor"]] | None
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
            raise RunError("two calibrations of models with different GLU weights do not add up")
        common = {part.fingerprint for part in self.parts} & {p.fingerprint for p in other.parts}
        if common:
            raise RunError("two calibrations with a text in common would count it twice")

        def both(layer: int) -> FitAndHoldout:
            return self.layers[layer].merged(other.layers[layer])

        return Calibration(
            model=self.model,
            parts=self.parts + other.parts,
            layers=_Layers(len(self.layers), both),
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
            parts = tuple(CalibrationSource(**part) for part in json.loads(head["parts"]))
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


def calibrate(
    model: str | Path | nn.Module,
    *,
    text: TextSource = None,
    tokens: int = TOKENS,
    tokenizer: Any = None,
    out: str | Path | None = None,
    progress: LayerCallback | None = None,
) -> Calibration:
    """Run a dense model over a text and sum up the second moments of its activations.

    Args:
        model: A `transformers` model, a checkpoint folder, a `.gguf` file, a hub id, or
            `"smollm2"`. From disk it is loaded.
        text: A file or folder of text, a data set of the hub, or batches (keyword arguments of the
            model, of which every second is held out); None for the embedded text.
        tokens: Most tokens to take of a text that is no batches.
        tokenizer: Of a model in memory; by default the one beside its checkpoint.
        out: Write the moments to this file as they are made, and read them from there.
        progress: Called with each layer that is done.

    Raises:
        RunError: The text, or the model's activations on it, cannot be calibrated on.

    Cost: about one forward pass, and 1.3 I^2 multiplications and additions a layer and token.
    """
    if text is None or isinstance(text, str | Path):
        check_source(text, tokens)
    with load_for_calibration(model) as (module, weights):
        read = as_text(text, tokens, tokenizer, module)
        made: dict[int, FitAndHoldout] = {}
        result = Calibration(model=fingerprint(weights), parts=(source_of(read),), layers=made)
        with ExitStack() as stack:
            keep: Callable[[int, FitAndHoldout], object] = made.__setitem__
            if out is not None:
                sizes = weights.architecture.layers, weights.architecture.intermediate_size
                keep = stack.enter_context(_file(Path(out), result, *sizes))
            walk = stack.enter_context(LayerwiseRunner(module, read))
            for layer in range(weights.architecture.layers):
                keep(layer, walk.moments(layer, advance=True).cpu())
                if progress:
                    progress(layer)
    return result if out is None else Calibration.load(out)


@contextmanager
def open_weights(model: str | Path | nn.Module) -> Iterator[Weights]:
    """The weights of a model in memory, or of one on disk, which is not loaded."""
    if not isinstance(model, str | Path):
        yield ModelWeights(model)
        return
    path, name = locate(str(model))
    with Checkpoint(path, name) as checkpoint:
        yield checkpoint


@contextmanager
def load_for_calibration(model: str | Path | nn.Module) -> Iterator[tuple[nn.Module, Weights]]:
    """A model in memory, and its weights as they are stored; from disk it is loaded.

    On a processor without units for bfloat16 it is loaded in float32, which is faster there.
    """
    import torch

    if not isinstance(model, str | Path):
        yield model, ModelWeights(model)
        return
    path, name = locate(str(model))
    with Checkpoint(path, name) as checkpoint:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        kinds = {checkpoint.tensors[each].spec.dtype for each in checkpoint.architecture.cuts}
        dtype = torch.bfloat16 if kinds == {"BF16"} and has_bfloat16(device) else torch.float32
        yield load_model(checkpoint, dtype=dtype).to(device), checkpoint


def has_bfloat16(device: str) -> bool:
    """Whether bfloat16 is multiplied in hardware."""
    import torch

    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)  # private, and not in every torch
    return device == "cuda" or bool(amx and amx())


def as_text(source: TextSource, tokens: int, tokenizer: Any, model: nn.Module) -> CalibrationText:
    """Calibration text as tokens of the model's tokenizer."""
    if source is None or isinstance(source, str | Path):
        known: Any = tokenizer or _tokenizer(model)
        text = read_text(source, known, tokens)
        table: Any = model.get_input_embeddings()  # type: ignore[operator]
        check_text(text, int(table.weight.shape[0]), known)
        return text
    return text_of(source)


def check_text(text: CalibrationText, rows: int, tokenizer: Any) -> None:
    """Raise RunError where a text holds a token that has no row in a model's embedding table."""
    for batch in (*text.fit, *text.held_out):
        if int(batch.input_ids.max()) >= rows:
            check_tokens(batch.input_ids.flatten().tolist(), rows, tokenizer, text.source)


def _tokenizer(model: nn.Module) -> Any:
    config: Any = model.config
    path = str(getattr(config, "_name_or_path", "") or "")
    if not path:
        raise RunError(
            "the model's tokenizer cannot be loaded, since the model does not say where it lies; "
            "pass the tokenizer"
        )
    return tokenizer_in(Path(path), path)


def source_of(text: CalibrationText) -> CalibrationSource:
    """What a calibration remembers of a text."""
    return CalibrationSource(
        source=text.source,
        fingerprint=text.fingerprint,
        fit_tokens=sum(batch.tokens for batch in text.fit),
        held_out_tokens=sum(batch.tokens for batch in text.held_out),
    )


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
