"""Refits of a study in its folder: a file a criterion, made once by whoever comes first."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cut import CalibrationSource, LayerFit, Plan, Refit, ScaleTuning
from ..errors import PlanError
from ..io import locked, safetensors_head, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from ..cut import RowScales

FOLDER = "calibrated"
FORMAT = "widthwise refits 1"
_FITS, _ROWS = ("lam", "fit_error", "held_out_error"), "rows"


class RefitCache:
    """Files of refits under `calibrated` in the folder of a study.

    A file says what its refits depend on: one that says anything else, or whose bytes are not those
    that were written, counts as none. Where the study's folder is not to be seen, as on a node of
    a cluster without it, files are kept in a temporary folder as long as the process lives.

    Args:
        study: Folder of the study.
    """

    def __init__(self, study: Path) -> None:
        self._study = study
        self._temporary: Path | None = None

    def _folder(self) -> Path:
        if self._study.is_dir():
            return self._study / FOLDER
        if self._temporary is None:
            self._temporary = Path(tempfile.mkdtemp(prefix="widthwise-"))
            weakref.finalize(self, shutil.rmtree, self._temporary, ignore_errors=True)
        return self._temporary

    def has(self, name: str, inputs: Mapping[str, Any], widths: Sequence[tuple[int, ...]]) -> bool:
        """Whether a file says that it holds these refits; its numbers are not read."""
        head = safetensors_head(self._study / FOLDER / f"{name}.safetensors")
        return _answers(head, inputs, widths)

    def read(
        self, name: str, inputs: Mapping[str, Any], widths: Sequence[tuple[int, ...]]
    ) -> tuple[Refit, ...] | None:
        """The refits of a file, mapped into memory; None where it does not hold what is asked.

        Args:
            name: Name of the file.
            inputs: Everything that its numbers depend on.
            widths: The width of each kind, of every refit that is needed; the file may hold more.
        """
        path = self._folder() / f"{name}.safetensors"
        head = safetensors_head(path)
        if not _answers(head, inputs, widths):
            return None
        try:
            return _read(path, head)
        except (OSError, ValueError, KeyError, TypeError, PlanError):
            return None  # damaged: computed again

    def write(self, name: str, inputs: Mapping[str, Any], refits: Sequence[Refit]) -> None:
        """Write a file whole or not at all; one that is there is replaced.

        Raises:
            OutputError: It cannot be written.
        """
        tensors = _tensors(refits)
        head = {
            "format": FORMAT,
            "asked": json.dumps(dict(inputs)),
            "plans": json.dumps([refit.plan.to_json() for refit in refits]),
            "parts": json.dumps([asdict(part) for part in refits[0].parts]),
            "scales": json.dumps([refit.scales and asdict(refit.scales) for refit in refits]),
            "sequential": json.dumps(refits[0].sequential),
            "sha256": _digest(tensors),
        }
        save_tensors(self._folder() / f"{name}.safetensors", tensors, head, shared=True)

    def held(self, name: str, waiting: Callable[[], None]) -> AbstractContextManager[None]:
        """Keep others who see this folder from making the same at the same time.

        Where the file system knows no locks, each makes its own; a file is still whole or absent.

        Args:
            name: Name of the file that is made.
            waiting: Called again and again while another one holds it.
        """
        folder = self._folder()
        return locked(folder / f".{name}.lock", folder, if_held=waiting, is_optional=True)


def _answers(
    head: Mapping[str, str], inputs: Mapping[str, Any], widths: Sequence[tuple[int, ...]]
) -> bool:
    """Whether a file with this head holds all widths that are asked for."""
    try:
        plans = [Plan.from_json(text) for text in json.loads(head["plans"])]
        same = head["format"] == FORMAT and json.loads(head["asked"]) == dict(inputs)
    except (ValueError, KeyError, TypeError, PlanError):
        return False
    return same and set(widths) <= {plan.kind_widths for plan in plans}


def _tensors(refits: Sequence[Refit]) -> dict[str, Tensor]:
    import torch

    curves = [torch.tensor(fit.curve, dtype=torch.float64) for fit in refits[0].layers]
    tensors = {"curves": torch.cat(curves)}
    sent = [fit.tokens for fit in refits[0].layers]
    if refits[0].plan.kinds:
        tensors["tokens"] = torch.tensor([-1 if count is None else count for count in sent])
    for refit in refits:
        where = _where(refit.plan)
        rows = [[getattr(fit, name) for name in _FITS] for fit in refit.layers]
        tensors[f"{where}.fits"] = torch.tensor(rows, dtype=torch.float64)
        for group, down in enumerate(refit.down):
            tensors[f"{where}.down.{group}"] = down.contiguous()
        for (layer, name), scales in refit.rows.items():
            tensors[f"{where}.{_ROWS}.{layer}.{name}"] = scales.contiguous()
    return tensors


def _where(plan: Plan) -> str:
    """What the names of a refit's tensors begin with: the width of each kind of group."""
    return "-".join(map(str, plan.kind_widths))


def _read(path: Path, head: Mapping[str, str]) -> tuple[Refit, ...]:
    import torch
    from safetensors.torch import load_file

    tensors = load_file(path)  # mapped: read when a width is taken, and not all kept in memory
    if _digest(tensors) != head["sha256"]:
        raise ValueError("other bytes than were written")
    sent = [None if n < 0 else n for n in tensors["tokens"].tolist()] if "tokens" in tensors else []
    parts = tuple(CalibrationSource(**part) for part in json.loads(head["parts"]))
    plans, refits = json.loads(head["plans"]), []
    tunings = json.loads(head.get("scales", "null")) or [None] * len(plans)  # older files have none
    for text, tuning in zip(plans, tunings, strict=True):
        plan = Plan.from_json(text)
        where, groups = _where(plan), range(len(plan.keep))
        sizes = [size + 1 for size in plan.neurons or (plan.intermediate_size,) * len(groups)]
        curves = torch.split(tensors["curves"].flatten(), sizes)
        rows = zip(
            tensors[f"{where}.fits"].tolist(), curves, sent or [None] * len(groups), strict=True
        )
        refits.append(
            Refit(
                plan=plan,
                down=tuple(tensors[f"{where}.down.{group}"] for group in groups),
                layers=tuple(
                    LayerFit(
                        **dict(zip(_FITS, row, strict=True)),
                        curve=tuple(curve.tolist()),
                        tokens=tokens,
                    )
                    for row, curve, tokens in rows
                ),
                parts=parts,
                sequential=json.loads(head.get("sequential", "false")),
                scales=None if tuning is None else ScaleTuning(**tuning),
                rows=_rows(tensors, where),
            )
        )
    return tuple(refits)


def _rows(tensors: Mapping[str, Tensor], where: str) -> RowScales:
    """The scales of a refit's rows, by layer and name."""
    begin, found = f"{where}.{_ROWS}.", {}
    for key, scales in tensors.items():
        if key.startswith(begin):
            layer, _, name = key.removeprefix(begin).partition(".")
            found[int(layer), name] = scales
    return found


def _digest(tensors: Mapping[str, Tensor]) -> str:
    import torch

    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()
