"""The dense model of a study, loaded once, at whatever width is asked for."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import __version__
from ..arch import counts_at, resolve
from ..cut import Plan, Refit, fingerprint
from ..cut.checkpoint import (
    Checkpoint,
    ModelSource,
    check_loadable,
    lineage_of,
    load_model,
    resolve_model,
)
from ..errors import RunError
from ..measure import faster_dtype
from ..prune import Nested, make_plan
from .records import Record
from .variant import Variant

_DECIDING = (".safetensors", ".json", ".jinja", ".txt", ".model")  # names of files that decide


def _file_digest(path: Path) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.digest()


class DenseModel:
    """A checkpoint, its tokenizer, and its model in memory, which can be narrowed and widened.

    Args:
        model: Name or path of the model, as `resolve_model` takes it.
        dtype: `"bfloat16"`, `"float32"` or `"float16"`; may be set later, before the model loads.
        device: `"cpu"`, `"cuda"` ...
        seed: Seed of the random criterion.
    """

    def __init__(self, model: str, *, dtype: str | None, device: str, seed: int) -> None:
        self.model = model
        self.dtype = dtype
        self.device = device
        self.seed = seed
        self._nested: Nested[Any] | None = None
        self._sorted: str | None = None

    @cached_property
    def _source(self) -> ModelSource:
        return resolve_model(self.model)

    @cached_property
    def checkpoint(self) -> Checkpoint:
        return self._source.checkpoint

    @cached_property
    def name(self) -> str:
        """Name of the model in records; may be set."""
        return self.checkpoint.name

    @cached_property
    def digest(self) -> str:
        """sha256 over every file of the checkpoint that a number may depend on: whole weights,
        config, tokenizer, chat template. Takes a second a gigabyte."""
        digest = hashlib.sha256()
        for file in sorted(self.checkpoint.path.iterdir()):
            if file.suffix in _DECIDING:
                digest.update(file.name.encode())
                digest.update(_file_digest(file))
        return digest.hexdigest()

    @cached_property
    def tokenizer(self) -> Any:
        return self._source.tokenizer

    @cached_property
    def dense(self) -> Any:
        """The model in memory; it stands sorted once `at` has been used."""
        return load_model(self.checkpoint, dtype=self.dtype).to(self.device)

    @property
    def in_stored_order(self) -> Any:
        """The model in memory, its neurons in their own order."""
        self._widen()
        return self.dense

    def plan(self, network: Variant) -> Plan | None:
        """The neurons of the model in memory that a network keeps; None for the dense one."""
        if network.criterion is None:
            return None
        return make_plan(self.in_stored_order, **self._plan_arguments(network))

    def stored_plan(self, network: Variant) -> Plan:
        """The neurons of the checkpoint on disk that a network keeps; not for the dense one."""
        return make_plan(self._source, **self._plan_arguments(network))

    def _plan_arguments(self, network: Variant) -> dict[str, Any]:
        kind, text = network.target.kind, network.target.text
        return {
            kind: int(text) if kind == "width" else text,
            "criterion": network.chosen_by,
            "seed": network.seed(self.seed),
            "align": network.align,
            "paper_widths": network.by_paper,
        }

    def _widen(self) -> None:
        """Put the neurons of the model back into their order."""
        if self._nested is not None:
            self._nested.close()
            self._nested, self._sorted = None, None

    def width(self, network: Variant) -> int:
        """Neurons of each block of a network."""
        architecture = self.checkpoint.architecture
        if network.criterion is None:
            return architecture.intermediate_size
        return resolve(
            architecture, network.target, align=network.align, paper_widths=network.by_paper
        ).width

    def networks(self, widths: Sequence[str], criteria: Sequence[str]) -> tuple[Variant, ...]:
        """Dense first, then from wide to narrow by each criterion.

        Widths that are asked for in two ways come once, as first asked for.
        """
        cut: dict[tuple[int, int], Variant] = {}
        for rank, criterion in enumerate(criteria):
            for asked in widths:
                network = Variant(criterion, asked)
                cut.setdefault((rank, -self.width(network)), network)
        return (Variant(None, "dense"), *(cut[key] for key in sorted(cut)))

    def weight_bytes(self, network: Variant) -> int:
        """Bytes of the network's weights in the study's dtype."""
        architecture = self.checkpoint.architecture
        return counts_at(architecture, self.width(network), dtype=self.stored_dtype).weight_bytes

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
            settings={**self.provenance, **settings, "time": now}, **{**variant, **fields}
        )

    def counted(self, network: Variant) -> tuple[Record, Record]:
        """Exact parameters and bytes of a network, as they are stored."""
        counts = counts_at(self.checkpoint.architecture, self.width(network))

        def exact(quantity: str, unit: str, value: int) -> Record:
            parts = (self.digest, network.criterion, network.asked, quantity, __version__)
            cell = hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]
            fields = {"quantity": quantity, "unit": unit, "value": float(value), "n": 1}
            return self.record(network, cell=cell, settings={}, **fields)

        return (
            exact("parameters", "count", counts.parameters),
            exact("bytes", "bytes", counts.weight_bytes),
        )

    @contextmanager
    def narrowed(self, network: Variant, cuts: Sequence[Plan | Refit] = ()) -> Iterator[Any]:
        """The model, as narrow as the network; the same object each time.

        Args:
            network: Dense, or at a width.
            cuts: All widths of the criterion of a network that calibration text decides.
        """
        if network.criterion is None and self._nested is None:
            yield self.dense
            return
        if self._nested is None:
            self._nested = Nested(self.dense)
        if network.criterion is not None and network.criterion != self._sorted:
            self._sorted = None
            if cuts:
                self._nested.sort_by(cuts)
            else:
                self._nested.sort(network.chosen_by, seed=network.seed(self.seed))
            self._sorted = network.criterion
        with self._nested.at(self.width(network)) as model:
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


def default_dtype(device: str) -> str:
    """bfloat16, but on a CPU that is faster in float32."""
    return faster_dtype().name if device == "cpu" else "bfloat16"


def default_device() -> str:
    """CUDA where there is one, else the CPU."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
