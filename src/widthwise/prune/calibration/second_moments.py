"""`calibrate`: the second moments of all groups of a model over one text, kept and added up."""

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
from ...runs import MakeEngine
from ..opened_model import open_model
from .moments import HALVES, FitAndHoldout, Moments
from .split_runner import runner_of
from .text import TextOptions, TextRequest

if TYPE_CHECKING:
    from ..opened_model import Model

FORMAT, FIRST_FORMAT = "widthwise moments 2", "widthwise moments 1"
_COUNTS = TensorSpec((3,), "I64")  # tokens of the halves, and those sent to an expert or -1
LayerCallback = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Second moments of the activations of every group of neurons of a dense model.

    They do not depend on a width: any number of widths, by any criterion, can be made of them.

    Attributes:
        model: Fingerprint of the GLU weights that the activations are of.
        parts: The texts that were added up.
        neurons: Neurons of each group.
        groups: Group (a layer's block, or one of its experts) to its moments; of a file, read when
            asked for, so that those of one group are in memory at a time.

    Memory: 8 I^2 bytes a group (two halves in float32), on disk or in memory.
    """

    model: str
    parts: tuple[CalibrationSource, ...]
    neurons: tuple[int, ...]
    groups: Mapping[int, FitAndHoldout]

    def merged(self, other: Calibration) -> Calibration:
        """The calibration on the texts of both; sums of a file stay there until a group is read.

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

        def both(group: int) -> FitAndHoldout:
            return self.groups[group].merged(other.groups[group])

        return Calibration(
            model=self.model,
            parts=self.parts + other.parts,
            neurons=self.neurons,
            groups=_Groups(len(self.neurons), both),
        )

    def check(self, weights: Weights) -> None:
        """Raise PlanError unless the calibration was made for these weights."""
        if self.model != fingerprint(weights):
            raise PlanError(
                "the calibration was made for a model whose GLU weights are not those of "
                f"{weights.name}; calibrate {weights.name}"
            )

    def save(self, path: str | Path, *, force: bool = False) -> None:
        """Write a safetensors file, whole or not at all, one group after the other.

        Raises:
            OutputError: The file exists (without `force`) or cannot be written.
        """
        with _file(Path(path), self, force=force) as write:
            for group in range(len(self.neurons)):
                write(group, self.groups[group])

    @classmethod
    def load(cls, path: str | Path) -> Calibration:
        """Read what `save` wrote; only the head, until a group is asked for.

        Raises:
            RunError: The file is missing, damaged or another kind of file.
        """
        import safetensors

        path = Path(path)
        try:
            with safetensors.safe_open(path, "pt") as file:
                head = file.metadata() or {}
                if head.get("format") not in (FORMAT, FIRST_FORMAT):
                    raise RunError(f"{path}: holds no moments of widthwise")
                of_layers = head["format"] == FIRST_FORMAT
                unit = "layers" if of_layers else "groups"
                names = [f"{unit}.{group}" for group in range(int(head[unit]))]
                neurons = tuple(file.get_slice(f"{name}.fit").get_shape()[0] for name in names)
            parts = from_plain(tuple[CalibrationSource, ...], json.loads(head["parts"]), "parts")
            model = head["model"]
        except (OSError, safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path}: cannot be read as moments: {error}") from error
        all_tokens = sum(p.fit_tokens for p in parts), sum(p.held_out_tokens for p in parts)

        def read(group: int) -> FitAndHoldout:
            with safetensors.safe_open(path, "pt") as file:
                fit, held_out = (file.get_tensor(f"{names[group]}.{half}") for half in HALVES)
                counts = file.get_tensor(f"{names[group]}.tokens").tolist() if not of_layers else ()
            *tokens, sent = counts or (*all_tokens, -1)
            return FitAndHoldout(
                fit=Moments(fit, tokens[0]),
                held_out=Moments(held_out, tokens[1]),
                sent=None if sent < 0 else sent,
            )

        return cls(model=model, parts=parts, neurons=neurons, groups=_Groups(len(names), read))


class _Groups(Mapping[int, FitAndHoldout]):
    """Moments that are made when a group is asked for."""

    def __init__(self, count: int, make: Callable[[int], FitAndHoldout]) -> None:
        self._count = count
        self._make = make

    def __getitem__(self, group: int) -> FitAndHoldout:
        if not 0 <= group < self._count:
            raise KeyError(group)
        return self._make(group)

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
    engine: MakeEngine | None = None,
    progress: LayerCallback | None = None,
    **text: Unpack[TextOptions],
) -> Calibration:
    """Run a dense model over a text and sum up the second moments of its activations.

    Args:
        model: A `transformers` model, a checkpoint folder, a `.gguf` file, a hub id, or
            `"smollm2"`. From disk it is loaded.
        out: A file to write the moments to as they are made, and to read them from.
        engine: Workers among which the text is divided, as for `refit`.
        progress: Function that is called with each layer that is done.
        **text: The text, as `TextOptions` name it.

    Raises:
        RunError: The text, or the model's activations on it, cannot be calibrated on.

    Cost: about one forward pass, and 1.3 I^2 multiplications and additions a group and token.

    Memory: the model, the hidden states of the text, the sums of one layer (8 I^2 bytes for each of
        its groups: of all of its experts), and without `out` those of all layers.
    """
    request = TextRequest(**text)
    with open_model(model) as opened:
        weights = opened.weights
        read = request.read(opened)
        read.refuse_uneven()
        made: dict[int, FitAndHoldout] = {}
        result = Calibration(
            model=fingerprint(weights),
            parts=read.summaries,
            neurons=weights.architecture.neurons(),
            groups=made,
        )
        with ExitStack() as stack:
            keep: Callable[[int, FitAndHoldout], object] = made.__setitem__
            if out is not None:
                keep = stack.enter_context(_file(Path(out), result))
            runner = stack.enter_context(runner_of(opened, read, engine))
            for layer in each_layer(weights.architecture.layers, progress):
                for group, halves in runner.moments(layer, advance=True).items():
                    keep(group, halves.cpu())
    return result if out is None else Calibration.load(out)


@contextmanager
def _file(
    path: Path, head: Calibration, *, force: bool = False
) -> Iterator[Callable[[int, FitAndHoldout], None]]:
    """A moments file to be filled group by group; it appears when the block ends well."""
    import torch

    if path.exists() and not force:
        raise OutputError(f"{path} already exists; choose another file")
    parts = json.dumps([asdict(part) for part in head.parts])
    meta = {"format": FORMAT, "model": head.model, "parts": parts, "groups": str(len(head.neurons))}
    specs: dict[str, TensorSpec] = {}
    for group, size in enumerate(head.neurons):
        specs |= {f"groups.{group}.{half}": TensorSpec((size, size), "F32") for half in HALVES}
        specs[f"groups.{group}.tokens"] = _COUNTS
    with (
        replace_file(path, shared=True) as partial,
        stream_safetensors(partial, specs, meta) as write,
    ):

        def add(_: int, halves: FitAndHoldout) -> None:
            sent = -1 if halves.sent is None else halves.sent
            write(tensor_bytes(halves.fit.total))
            write(tensor_bytes(halves.held_out.total))
            write(tensor_bytes(torch.tensor([halves.fit.tokens, halves.held_out.tokens, sent])))

        yield add
