"""The dense model of a study, loaded once, at whatever width is asked for."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__
from ..arch import counts_at
from ..cut import Plan, Refit, apply, fingerprint
from ..cut.checkpoint import (
    Checkpoint,
    ModelSource,
    check_loadable,
    lineage_of,
    load_model,
    resolve_model,
)
from ..errors import RunError
from ..io import file_sha256
from ..measure import faster_dtype
from ..prune import Nested, make_plan
from .records import Record, cell_address
from .variant import CONTROL, DENSE, Variant

_DECIDING = (".safetensors", ".json", ".jinja", ".txt", ".model")  # names of files that decide


class ModelFiles:
    """The files of a named model, resolved and read at first need.

    Args:
        model: Name or path of the model, as `resolve_model` takes it.
    """

    def __init__(self, model: str) -> None:
        self.model = model

    @cached_property
    def source(self) -> ModelSource:
        """Where the model lies."""
        return resolve_model(self.model)

    @cached_property
    def digest(self) -> str:
        """sha256 over every file of the checkpoint that a number may depend on: whole weights,
        config, tokenizer, chat template. Takes a second a gigabyte."""
        digest = hashlib.sha256()
        for file in sorted(self.source.path.iterdir()):
            if file.suffix in _DECIDING:
                digest.update(file.name.encode())
                digest.update(bytes.fromhex(file_sha256(file)))
        return digest.hexdigest()


class _Memory:
    """What of a dense model is in memory: the model, perhaps with sorted neurons."""

    def __init__(self) -> None:
        self.dense: Any = None
        self.nested: Nested[Any] | None = None
        self.sorted_by: str | None = None  # name of the order in which its neurons stand


@dataclass(frozen=True, kw_only=True, eq=False)
class DenseModel:
    """A checkpoint, its tokenizer, and its model, which can be narrowed while it is in memory.

    Attributes:
        files: Files of the model.
        dtype: `"bfloat16"`, `"float32"` or `"float16"`; None until it is decided by `at`.
        device: `"cpu"`, `"cuda"` ...; until `at` decides, what was asked, or the CPU.
        seed: Seed of the random criterion.
        has_short_name: Whether records call the model by the last part of its name.
    """

    files: ModelFiles
    dtype: str | None
    device: str
    seed: int
    has_short_name: bool = False
    _memory: _Memory = field(default_factory=_Memory, repr=False)

    def at(self, dtype: str, device: str) -> DenseModel:
        """The same model in a dtype on a device; nothing of its files is read again."""
        return replace(self, dtype=dtype, device=device, _memory=_Memory())

    @property
    def model(self) -> str:
        """Name or path of the model as it was given."""
        return self.files.model

    @property
    def checkpoint(self) -> Checkpoint:
        return self.files.source.checkpoint

    @property
    def name(self) -> str:
        """Name of the model in records."""
        name = self.files.source.name
        return Path(name).name if self.has_short_name else name

    @property
    def digest(self) -> str:
        return self.files.digest

    @property
    def tokenizer(self) -> Any:
        return self.files.source.tokenizer

    @property
    def dense(self) -> Any:
        """The model in memory; its neurons stand sorted once `narrowed` has been used."""
        if self._memory.dense is None:
            model = load_model(self.checkpoint, dtype=self.dtype).to(self.device)
            self._memory.dense = model
        return self._memory.dense

    @property
    def in_stored_order(self) -> Any:
        """The model in memory, its neurons in their own order."""
        self._widen()
        return self.dense

    def plan(self, network: Variant) -> Plan | None:
        """The neurons of the model in memory that a network keeps; None for the dense one."""
        if network.criterion is None:
            return None
        return make_plan(self.in_stored_order, network.selection(self.seed))

    def cut(self, network: Variant) -> Any:
        """A network by weights alone as a model of its own; the dense one is that in memory."""
        plan = self.plan(network)
        return self.dense if plan is None else apply(self.dense, plan)

    def stored_plan(self, network: Variant) -> Plan:
        """The neurons of the checkpoint on disk that a network keeps; not for the dense one."""
        return make_plan(self.files.source, network.selection(self.seed))

    def _widen(self) -> None:
        """Put the neurons of the model back into their order."""
        memory = self._memory
        if memory.nested is not None:
            memory.nested.close()
            memory.nested, memory.sorted_by = None, None

    def width(self, network: Variant) -> int:
        """Neurons of each block of a network; of a mixture of experts of each routed expert."""
        return self.widths(network)[0]

    def widths(self, network: Variant) -> tuple[int, ...]:
        """The width of each kind of group of a network."""
        architecture = self.checkpoint.architecture
        if network.criterion is None:
            return architecture.dense_widths
        return network.selection(self.seed).width(architecture).widths

    def networks(self, widths: Sequence[str], criteria: Sequence[str]) -> tuple[Variant, ...]:
        """Dense first, then from wide to narrow by each criterion.

        Widths that are asked for in two ways come once, as first asked for.
        """
        self.refuse_early(widths)
        cut: dict[tuple[int, ...], Variant] = {}
        for rank, criterion in enumerate(criteria):
            for asked in widths:
                network = Variant(criterion, asked)
                cut.setdefault((rank, *(-width for width in self.widths(network))), network)
        return (DENSE, *(cut[key] for key in sorted(cut)))

    def refuse_early(self, widths: Sequence[str]) -> None:
        """Refuse widths that the model's config.json rules out, before the model is read.

        Raises:
            TargetError: The model has no such width.
        """
        for asked in widths:
            Variant(CONTROL, asked).selection(self.seed).refuse_early(self.files.source)

    def weight_bytes(self, network: Variant) -> int:
        """Bytes of the network's weights in the study's dtype."""
        architecture = self.checkpoint.architecture
        return counts_at(architecture, self.widths(network), dtype=self.stored_dtype).weight_bytes

    @property
    def stored_dtype(self) -> str:
        """The dtype as safetensors names it."""
        return {"bfloat16": "BF16", "float32": "F32", "float16": "F16"}[str(self.dtype)]

    def record(self, network: Variant, *, settings: Mapping[str, Any], **fields: Any) -> Record:
        """A record of a network, made now; `fields` are those that its cell decides."""
        width = self.width(network)
        variant = {
            "model": self.name,
            "criterion": network.criterion,
            "asked": network.asked,
            "width": width,
            "expansion_ratio": width / self.checkpoint.architecture.hidden_size,
        }
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Record(
            settings={**self.provenance, **self._kinds(network), **settings, "time": now},
            **{**variant, **fields},
        )

    def _kinds(self, network: Variant) -> dict[str, Any]:
        """The setting of a record that names the width of each kind, of a mixture of experts."""
        architecture = self.checkpoint.architecture
        if not architecture.is_mixture:
            return {}
        pairs = zip(architecture.kinds, self.widths(network), strict=True)
        return {"widths": {kind.name: width for kind, width in pairs}}

    def counted(self, network: Variant) -> tuple[Record, Record]:
        """Exact parameters and bytes of a network, as they are stored."""
        counts = counts_at(self.checkpoint.architecture, self.widths(network))

        def exact(quantity: str, unit: str, value: int) -> Record:
            parts = (self.digest, network.criterion, network.asked, quantity, __version__)
            fields = {"quantity": quantity, "unit": unit, "value": float(value), "n": 1}
            return self.record(network, cell=cell_address(parts), settings={}, **fields)

        return (
            exact("parameters", "count", counts.parameters),
            exact("bytes", "bytes", counts.weight_bytes),
        )

    @contextmanager
    def narrowed(self, network: Variant, cuts: Sequence[Plan | Refit] = ()) -> Iterator[Any]:
        """The model, as narrow as the network; the same object each time.

        Args:
            network: Dense, or at a width.
            cuts: All widths of the order of a network that calibration text decides.
        """
        memory = self._memory
        if network.criterion is None and memory.nested is None:
            yield self.dense
            return
        if memory.nested is None:
            memory.nested = Nested(self.dense)
        if network.criterion is not None and network.order_name != memory.sorted_by:
            memory.sorted_by = None
            if cuts:
                memory.nested.sort_by(cuts)
            else:
                memory.nested.sort(network.chosen_by, seed=network.seed(self.seed))
            memory.sorted_by = network.order_name
        with memory.nested.at(self.widths(network)) as model:
            yield model

    def check(self) -> None:
        """See that the model can be loaded, without reading a weight.

        Raises:
            CheckpointError, UnsupportedModelError: It cannot, and why.
        """
        check_loadable(self.checkpoint)

    @cached_property
    def _origin(self) -> dict[str, Any]:
        """The fingerprint of the weights, and for a cut checkpoint the parent it was cut from."""
        lineage = lineage_of(self.checkpoint.path)
        with self.checkpoint as checkpoint:  # closes its files, and may be opened again
            weights = {"glu_weights": fingerprint(checkpoint)[:16]}
        return weights if lineage is None else {**weights, "cut_from": lineage.stored}

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """The settings of a record that fix a number measured here."""
        import torch
        import transformers

        return {
            **self._origin,
            "seed": self.seed,
            "dtype": self.dtype,
            "device": self.device,
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "openmp_spin": os.environ.get("GOMP_SPINCOUNT"),
            "widthwise": __version__,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "python": platform.python_version(),
        }


def checked_device(name: str) -> str:
    """The name, if numbers can be computed there; of a CPU without a number.

    Raises:
        RunError: There is no such device, in the first line of PyTorch's words.
    """
    import torch

    try:
        torch.zeros(1, device=name).item()
    except (RuntimeError, AssertionError, ImportError, ValueError) as error:
        cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise RunError(f"device {name} cannot be used here: {cause}; pass --device cpu") from error
    return "cpu" if torch.device(name).type == "cpu" else name  # of CPUs there is one


def default_device() -> str:
    """CUDA where there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def with_place(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that were agreed on, with a dtype and a device where they name none."""
    device = settings["device"] or default_device()
    dtype = settings["dtype"]
    if dtype is None:  # some CPUs are faster in float32
        dtype = faster_dtype().name if device.partition(":")[0] == "cpu" else "bfloat16"
    return {**settings, "device": device, "dtype": dtype}
