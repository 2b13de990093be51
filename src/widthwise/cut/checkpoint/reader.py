"""Reading a checkpoint folder without loading it: headers first, then rows on demand.

The safetensors layout is 8 bytes of header length (little endian), the header (JSON: name ->
dtype, shape, data_offsets relative to the end of the header), then the data without gaps.
Tensors are read with plain reads instead of a memory map, so that what was read does not stay
resident: peak memory is the size of the rows asked for.
"""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ...arch import (
    Architecture,
    read_architecture,
    refuse_adapters,
    text_config,
    without_quantization,
)
from ...errors import CheckpointError, OutputError, UnsupportedModelError
from ...io import DTYPE_BYTES, TORCH_DTYPES, TensorSpec, lfs_pointer
from ..compact_config import family_config, is_compact
from ..plan import WIDTHS_KEY
from .absent import no_config, no_weights
from .quantized import Quantization, QuantizedWeight, dequantized_rows, read_quantization

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors library itself
COMPARED_BYTES = 4 * 2**20  # of each of two tensors at a time
_BYTE_ORDER_MARK = "\ufeff"
_PREFIXES = ("module", "base_model.model")  # of wrappers as well, at the begin of a name
_WRAPPERS = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor's bytes lie: [start, start + spec.nbytes) of `file`."""

    file: Path
    start: int
    spec: TensorSpec


class Checkpoint:
    """A checkpoint folder, opened: config, tensor index and architecture, no weights in memory.

    Attributes:
        path: The folder.
        name: What to call it in plans and model cards.
        config: The parsed config.json, without what it says of a quantization that is read; of a
            compact checkpoint that of its family.
        is_compact: Whether it brings code that loads layers of several widths.
        index: The file that says which tensor lies where; None of a single file.
        stored: Name to place of every tensor in the files, in their order.
        quantization: How weights are quantized; None where they are not.
        tensors: The same with weights in place of what they are quantized to.
        architecture: Its GLU blocks, checked.
        widths: Neurons of each group, those that pad a narrower layer with zeros not counted.

    Raises:
        CheckpointError: Files are missing, truncated or contradictory.
        UnsupportedModelError: The weights cannot be cut (mixture of experts, quantized, ...).
    """

    is_compared = False  # whether its tensors are known to be all that the model needs
    is_compact = False
    index: Path | None = None
    quantization: Quantization | None = None

    def __init__(self, path: Path, name: str | None = None) -> None:
        self.path = path
        self.name = name or str(path)
        config = _read_config(path)
        self.is_compact, self.config = is_compact(config), family_config(config)
        self.index, self.stored = _read_tensors(path, self.config)
        refuse_adapters(self.stored)
        _refuse_wrapped(path, self.stored)
        self.quantization = read_quantization(
            self.config, {name: each.spec for name, each in self.stored.items()}
        )
        self.tensors: Mapping[str, StoredTensor | QuantizedWeight] = self.stored
        if self.quantization:
            self.config = without_quantization(self.config)
            self.tensors = self.quantization.read_in_place(self.stored)
        specs = {name: each.spec for name, each in self.tensors.items()}
        self._files: dict[Path, BinaryIO] = {}
        self._last_expert: tuple[tuple[str, int], Tensor] | None = None
        self.architecture: Architecture = self._untied(read_architecture(self.config, specs))
        self.widths = read_widths(self.config, self.architecture)

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    @property
    def decoded_dtype(self) -> str | None:
        """The type that `rows` decodes weights to; None where the files hold them as they are."""
        return None if self.quantization is None else self.quantization.dtype

    @property
    def stored_bytes(self) -> int:
        """Bytes of all that the files hold."""
        return sum(each.spec.nbytes for each in self.stored.values())

    @property
    def storage_note(self) -> str | None:
        """How weights are stored and read, as a clause; None where they are read as they are."""
        return None if self.quantization is None else self.quantization.note

    @property
    def loadable(self) -> Path:
        """A folder that transformers could load the model from."""
        return self.path

    @property
    def tokenizer_folder(self) -> Path:
        """The folder of the tokenizer and the chat template."""
        return self.path

    def rows(self, name: str, start: int, stop: int) -> Tensor:
        """Rows [start, stop) of a tensor along its first axis; of a vector, elements.

        They are not to be changed: of a quantized stack of experts the last one is kept, as its
        neurons, which may be its columns, are asked for in slices.
        """
        tensor = self.tensors[name]
        if isinstance(tensor, StoredTensor):
            return self._stored_rows(name, start, stop)
        is_expert = len(tensor.spec.shape) == 3 and stop - start == 1 < tensor.spec.shape[0]
        if not is_expert:
            return dequantized_rows(tensor, self._stored_rows, start, stop)
        if self._last_expert is None or self._last_expert[0] != (name, start):
            self._last_expert = (name, start), tensor.rows(self._stored_rows, start, stop)
        return self._last_expert[1]

    def _stored_rows(self, name: str, start: int, stop: int) -> Tensor:
        """The same of a tensor in the files, as it is stored."""
        import torch

        stored = self.stored[name]
        row = stored.spec.shape[1:]
        row_bytes = math.prod(row) * DTYPE_BYTES[stored.spec.dtype]
        result = torch.empty(
            (stop - start, *row), dtype=getattr(torch, TORCH_DTYPES[stored.spec.dtype])
        )
        self._fill(result.reshape(-1).view(torch.uint8).numpy().data, name, start * row_bytes)
        return result

    def _untied(self, architecture: Architecture) -> Architecture:
        """With each head that differs from its table counted, as transformers then ties neither."""
        table = architecture.table
        apart = {name for name in architecture.tied if not self.are_equal(name, table)}
        if not apart:
            return architecture
        more = sum(self.tensors[name].spec.numel for name in apart)
        tied, parameters = architecture.tied - apart, architecture.parameters + more
        return replace(architecture, tied=tied, parameters=parameters)

    def are_equal(self, name: str, other: str) -> bool:
        """Whether two stored tensors hold the same numbers; reads up to the first that differ."""
        import torch

        first, second = self.tensors[name].spec, self.tensors[other].spec
        if first.shape != second.shape:
            return False
        step = max(1, COMPARED_BYTES * first.shape[0] // max(1, first.nbytes))
        with self:
            for start in range(0, first.shape[0], step):
                stop = min(start + step, first.shape[0])
                rows = [self.rows(each, start, stop) for each in (name, other)]
                if not torch.equal(*(each.to(torch.float64) for each in rows)):
                    return False
        return True

    def _fill(self, view: memoryview, name: str, start: int) -> None:
        """Read a tensor's bytes from `start` on until `view` is full."""
        stored = self.stored[name]
        if stored.file not in self._files:
            self._files[stored.file] = open(stored.file, "rb", buffering=0)
        file = self._files[stored.file]
        file.seek(stored.start + start)
        while view:
            count = file.readinto(view)  # type: ignore[attr-defined]
            if not count:
                raise CheckpointError(f"{stored.file.name}: truncated while reading tensor {name}")
            view = view[count:]


def read_json(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds.

    Raises:
        CheckpointError: It holds none.
    """
    try:
        text = path.read_text(encoding="utf8")
        data = json.loads(text.removeprefix(_BYTE_ORDER_MARK))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: cannot be read as JSON: {error}") from error
    if text.startswith(_BYTE_ORDER_MARK):
        raise CheckpointError(
            f"{path}: begins with a byte order mark, which transformers does not read; save it as "
            "UTF-8 without one"
        )
    if not isinstance(data, dict):
        raise CheckpointError(f"{path}: must hold a JSON object; got {type(data).__name__}")
    return data


def _read_config(path: Path) -> dict[str, Any]:
    weights = [file for file in path.glob("*.safetensors") if file.stem != "adapter_model"]
    if (path / "adapter_config.json").exists() and not weights:
        raise UnsupportedModelError(
            f"{path / 'adapter_config.json'}: this is an adapter (PEFT); "
            "merge it into its base model first"
        )
    if not (path / "config.json").exists():
        raise no_config(path)
    config = read_json(path / "config.json")
    if not isinstance(kind := config.get("model_type") or "", str):
        raise CheckpointError(f"{path / 'config.json'}: model_type must be a name; got {kind!r}")
    return config


def _refuse_wrapped(path: Path, names: Iterable[str]) -> None:
    """Raise where names are those of a model within a wrapper, which no class has."""
    for name in names:
        wrappers = [part for part in name.split(".") if part in _WRAPPERS]
        wrappers += [each for each in _PREFIXES if name.startswith(f"{each}.")]
        if wrappers:
            raise CheckpointError(
                f"{path}: tensor {name} has the prefix '{wrappers[0]}.' of a wrapper "
                "(torch.compile, FSDP, DataParallel, PEFT), so transformers would use random "
                "numbers instead of it: save the model that is inside the wrapper, or remove the "
                "prefix from all names"
            )


def read_widths(config: Mapping[str, Any], architecture: Architecture) -> tuple[int, ...]:
    """What the config of a padded checkpoint says; the widths of the groups of any other."""
    size = architecture.intermediate_size
    if WIDTHS_KEY not in text_config(config):
        return architecture.neurons()
    widths = text_config(config)[WIDTHS_KEY]
    if (
        not isinstance(widths, list)
        or len(widths) != architecture.layers
        or not all(type(width) is int and 0 < width <= size for width in widths)
    ):
        raise CheckpointError(
            f"config.json: {WIDTHS_KEY} must be {architecture.layers} whole numbers, 1 to {size} "
            f"each; got {str(widths)[:60]}"
        )
    return tuple(widths)


def weight_files(config: Mapping[str, Any]) -> tuple[str, str]:
    """Names of the single file of weights that is looked for first, and of the index.

    They are the same where the config names the file to take.
    """
    named = config.get("transformers_weights")
    return (SINGLE, INDEX) if named is None else (str(named), str(named))


def _read_tensors(
    path: Path, config: Mapping[str, Any]
) -> tuple[Path | None, dict[str, StoredTensor]]:
    """Index and tensors of the files that transformers takes: one file rather than an index."""
    if split := next(path.glob("shard-*-model-*-of-*.safetensors"), None):
        raise UnsupportedModelError(
            f"{split}: this is a distributed checkpoint, which transformers would read instead of "
            f"{SINGLE}; load it with transformers, and save it with save_pretrained() in another "
            "folder"
        )
    first, index = weight_files(config)
    if Path(first).name != first:
        raise CheckpointError(f"{path}: transformers_weights must be a file name; got {first!r}")
    if (path / first).exists() and not first.endswith(".index.json"):
        return None, read_header(path / first)
    if (path / index).exists():
        return path / index, _read_sharded(path, index)
    is_usual = first != index
    wanted = f"neither {SINGLE} nor {INDEX}" if is_usual else f"{first}, by config.json, not"
    raise no_weights(path, wanted)


def _read_sharded(path: Path, index: str) -> dict[str, StoredTensor]:
    weight_map = read_json(path / index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{path / index}: weight_map must name the file of each tensor")
    tensors: dict[str, StoredTensor] = {}
    for file in sorted(set(map(str, weight_map.values()))):  # as transformers: the last one wins
        if Path(file).name != file or len(file) > 255:
            raise CheckpointError(
                f"{path / index}: {file!r} is not the name of a file in the same folder"
            )
        if not (path / file).exists():
            count = list(weight_map.values()).count(file)
            raise CheckpointError(f"{path}: shard {file} is missing ({count} tensors are in it)")
        tensors |= read_header(path / file)
    return tensors


def read_header(file: Path) -> dict[str, StoredTensor]:
    """Tensors of one safetensors file by its header, checked against the size of the file."""
    try:
        size = file.stat().st_size
        with open(file, "rb") as handle:
            length = int.from_bytes(handle.read(8), "little")
            if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
                raise CheckpointError(f"{file}: {_not_safetensors(file)}")
            header = json.loads(handle.read(length))
    except CheckpointError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{file}: cannot read its safetensors header: {error}") from error
    if not isinstance(header, dict):
        raise CheckpointError(f"{file}: its safetensors header must be a JSON object")
    header.pop("__metadata__", None)
    data_start = 8 + length
    tensors = {name: _stored(file, name, entry, data_start) for name, entry in header.items()}
    end = max((t.start + t.spec.nbytes for t in tensors.values()), default=data_start)
    if end != size:
        raise CheckpointError(
            f"{file}: truncated or overlong: its header states {end} bytes, it has {size}"
        )
    return dict(sorted(tensors.items(), key=lambda item: item[1].start))


def _not_safetensors(file: Path) -> str:
    return lfs_pointer(file) or "truncated, or not a safetensors file"


def _stored(file: Path, name: str, entry: Mapping[str, Any], data_start: int) -> StoredTensor:
    try:
        begin, end = entry["data_offsets"]
        shape, dtype = tuple(entry["shape"]), str(entry["dtype"])
        if any(type(n) is not int or n < 0 for n in (begin, end, *shape)):
            raise CheckpointError(f"{file}: tensor {name} has a size that is no whole number")
        if dtype not in DTYPE_BYTES:
            raise UnsupportedModelError(f"{file}: tensor {name} is stored as {dtype}")
        spec = TensorSpec(shape, dtype)
        if spec.nbytes != end - begin or begin < 0:
            raise CheckpointError(
                f"{file}: tensor {name} has {end - begin} bytes, but its shape and dtype need "
                f"{spec.nbytes}"
            )
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, CheckpointError | UnsupportedModelError):
            raise
        raise CheckpointError(f"{file}: tensor {name} is described wrongly ({error!r})") from error
    return StoredTensor(file, data_start + begin, spec)


def free_disk_bytes(path: Path) -> int:
    """Bytes that an ordinary user may still write on the file system of `path`."""
    return shutil.disk_usage(path).free


def check_free_disk(folder: Path, out: Path, needed: int) -> None:
    """Raise OutputError where so many bytes of `out` do not fit on the file system of a folder."""
    free = free_disk_bytes(folder)
    if needed > free:
        raise OutputError(
            f"{out}: the disk is full: {needed:,} bytes are needed, {free:,} are free"
        )
