"""Networks as files: weights, a description, and copies for other run times."""

from __future__ import annotations

import json
import logging
import pickle
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import CheckpointError, RunError, TargetError, WidthwiseError
from ..io import file_sha256, from_plain, save_tensors
from .multipliers import Multipliers
from .registry import family_named
from .training import seeded

if TYPE_CHECKING:
    from torch import Tensor, nn

CONFIG, WEIGHTS = "config.json", "model.safetensors"
ONNX, TORCHSCRIPT = "model.onnx", "model.torchscript.pt"
TOLERANCE = 1e-4  # of the largest logit; float32 sums in another order differ by 1e-6 or so
MOST_PARAMETERS = 10**9  # 4 GB; these are to be small networks
_TEST_IMAGES = 2  # images that a copy is compared on


@dataclass(frozen=True, kw_only=True)
class NetworkSpec:
    """A network of a family, without its weights."""

    title: str
    family: str
    scale: Multipliers
    classes: int

    def build(self, *, seed: int) -> nn.Module:
        """The network in training mode, its weights drawn with this seed.

        Raises:
            TargetError: The family is unknown, the scale out of its range, or there would be more
                than 10^9 parameters.
        """
        family = family_named(self.family)
        parameters = family.counts(self.scale, classes=self.classes).parameters
        if parameters > MOST_PARAMETERS:
            raise TargetError(
                f"a network must have at most {MOST_PARAMETERS:,} parameters; "
                f"{self.title} would have {parameters:,}"
            )
        with seeded(seed):
            return family.build(self.scale, classes=self.classes)


def load_weights(model: nn.Module, path: Path) -> None:
    """Put the weights of a file into a network; every name and shape must be there and no other.

    Args:
        model: Network; weights of EfficientNets have timm's names, those of ResNets torchvision's.
        path: Path of `.safetensors`, or of a state dict as `torch.save` writes it.

    Raises:
        CheckpointError: The file cannot be read, holds NaN or Inf, or does not fit.
    """
    weights = _read(path)
    if mismatch := _mismatch(weights, model.state_dict()):
        raise CheckpointError(f"{path} does not fit the network: {mismatch}")
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path} holds NaN or Inf in {name}")
    model.load_state_dict(weights, strict=True)


def write_net(
    folder: Path,
    net: NetworkSpec,
    model: nn.Module,
    *,
    weights: str,
    onnx: bool = False,
    torchscript: bool = False,
) -> dict[str, float]:
    """Write a network's files into an empty folder.

    Always `model.safetensors`, and `config.json`, which describes it; on demand copies as
    `model.onnx` and `model.torchscript.pt`, which take batches of any size and are first compared
    with PyTorch on two random images.

    Args:
        net: Description of the network.
        model: Network with its weights; left in evaluation mode.
        weights: Words for the origin of the weights.
        onnx: Whether to write the ONNX copy; needs onnx and onnxscript.
        torchscript: Whether to write the TorchScript copy.

    Returns:
        Name of each copy -> largest difference of a logit, over the largest logit.

    Raises:
        RunError: A package is missing, or a copy does not compute what PyTorch does.
        OutputError: The weights cannot be written.
    """
    family, model = family_named(net.family), model.eval()
    save_tensors(folder / WEIGHTS, model.state_dict(), {"format": "pt"})
    pixels = family.resolution(net.scale)
    differences = {}
    if onnx:
        differences[ONNX] = export_onnx(model, folder / ONNX, pixels=pixels)
    if torchscript:
        differences[TORCHSCRIPT] = export_torchscript(model, folder / TORCHSCRIPT, pixels=pixels)
    counts = family.counts(net.scale, classes=net.classes)
    config = {
        "widthwise": __version__,
        **asdict(net),
        "pixels": pixels,
        "parameters": counts.parameters,
        "macs": counts.macs,
        "parameter_bytes": counts.parameter_bytes,
        "weights": weights,
        "sha256": file_sha256(folder / WEIGHTS),
        "relative_differences": differences,
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf8")
    return differences


def load_net(folder: Path) -> tuple[NetworkSpec, nn.Module]:
    """A network from the folder of `write_net`, with its weights, in evaluation mode.

    Raises:
        CheckpointError: A file is missing, damaged or of another kind.
    """
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf8"))
        fields = {name: config[name] for name in NetworkSpec.__dataclass_fields__}
        net: NetworkSpec = from_plain(NetworkSpec, fields)
        model = net.build(seed=0).eval()
    except (OSError, ValueError, KeyError, TypeError, WidthwiseError) as error:
        raise CheckpointError(
            f"{folder / CONFIG} does not describe a network of tinynet: {error!r}"
        ) from error
    load_weights(model, folder / WEIGHTS)
    return net, model


def export_onnx(model: nn.Module, path: Path, *, pixels: int) -> float:
    """Write `model` as ONNX with inputs `images` and outputs `logits`; returns the difference.

    The file is checked by onnx and run by its reference implementation, which is slow: a minute for
    EfficientNet-B0.

    Raises:
        RunError: onnx or onnxscript is missing, or the copy computes something else.
    """
    import torch

    try:
        import onnx
        import onnxscript  # noqa: F401  torch needs it and says so at length
        from onnx.reference import ReferenceEvaluator
    except ImportError as error:
        raise RunError("ONNX needs two more packages: pip install 'widthwise[tinynet]'") from error
    images = _images(pixels)
    with _quiet_exporter():
        program = torch.onnx.export(
            model,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None  # None is for the older exporter
    program.save(str(path))
    copy = onnx.load(path)
    onnx.checker.check_model(copy)
    (logits,) = ReferenceEvaluator(copy).run(None, {"images": images.numpy()})
    return _compared(model, images, torch.from_numpy(logits), path)


def export_torchscript(model: nn.Module, path: Path, *, pixels: int) -> float:
    """Write `model` as traced TorchScript; returns the difference.

    torch calls TorchScript deprecated; run times on phones and in C++ still read it.

    Raises:
        RunError: The copy computes something else.
    """
    import torch

    images = _images(pixels)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"torch\.jit")
        torch.jit.trace(model, images[:1]).save(str(path))  # type: ignore[no-untyped-call]
        copy = torch.jit.load(str(path))  # type: ignore[no-untyped-call]
        return _compared(model, images, copy(images), path)


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Silence torch's exporter about its own internals and missing torchvision."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _images(pixels: int) -> Tensor:
    import torch

    return torch.randn(_TEST_IMAGES, 3, pixels, pixels, generator=torch.Generator().manual_seed(0))


def _compared(model: nn.Module, images: Tensor, logits: Tensor, path: Path) -> float:
    """Largest difference of a copy's logits to the model's, over the largest logit."""
    import torch

    with torch.inference_mode():
        expected = model(images)
    difference = float((logits - expected).abs().max() / expected.abs().max())
    if not difference <= TOLERANCE:
        raise RunError(
            f"{path.name} differs from PyTorch by {difference:.1e} of the largest logit; "
            f"{TOLERANCE:.0e} is allowed"
        )
    return difference


def _read(path: Path) -> Mapping[str, Tensor]:
    """The tensors of a file."""
    import torch
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError(
            f"{path} is neither .safetensors nor a plain state dict of PyTorch"
        ) from error
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"the weights {path} cannot be read: {reason[0]}") from error
    if not isinstance(weights, Mapping) or not all(map(torch.is_tensor, weights.values())):
        raise CheckpointError(f"{path} must hold tensors by name, and nothing around them")
    return weights


def _mismatch(weights: Mapping[str, Any], expected: Mapping[str, Any]) -> str:
    """The difference of names and shapes in words; empty if there is none."""
    parts = []
    for names, what in (
        (expected.keys() - weights, "missing"),
        (weights.keys() - expected, "unknown"),
    ):
        if names:
            parts.append(f"{len(names)} {what} (such as {min(names)})")
    for name in expected:
        if name in weights and weights[name].shape != expected[name].shape:
            shapes = tuple(weights[name].shape), tuple(expected[name].shape)
            parts.append(f"{name} has shape {shapes[0]} and must have {shapes[1]}")
            break
    return "; ".join(parts)
