"""A cut checkpoint is looked at once more before it gets its name: nothing of it is half cut."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...arch import WIDTH_KEY, class_value, section_name, text_value
from ...errors import OutputError, WidthwiseError
from ...io import TensorSpec
from ..plan import Plan
from .reader import Checkpoint, read_header


def check_written(
    folder: Path,
    parent: Checkpoint,
    config: Mapping[str, Any],
    plan: Plan,
    shards: Mapping[str, Mapping[str, TensorSpec]],
    *,
    is_plain: bool,
) -> None:
    """Read the headers and the config of a written checkpoint, and compare them with the plan.

    Args:
        folder: What was written.
        parent: What it was cut from.
        config: What a plain checkpoint of the plan has as its config.
        plan: Which neurons stay.
        shards: File to the tensors that belong in it.
        is_plain: Whether the folder needs no code of ours to be loaded.

    Raises:
        OutputError: A tensor, or the width in the config, is not that of the plan.
    """
    for file, specs in shards.items():
        stored = {name: each.spec for name, each in read_header(folder / file).items()}
        if stored != specs:
            odd = next(name for name in {**specs, **stored} if stored.get(name) != specs.get(name))
            raise OutputError(f"{file} was not written as planned: tensor {odd} differs")
    for stated in (text_value(config, WIDTH_KEY), class_value(config, WIDTH_KEY) or plan.width):
        if stated != plan.width:
            raise OutputError(
                f"{section_name(config)}: {WIDTH_KEY} would be {stated!r} in the result, whose "
                f"blocks have {plan.width} neurons; nothing was written"
            )
    if is_plain:
        _check_architecture(folder, parent, plan)


def _check_architecture(folder: Path, parent: Checkpoint, plan: Plan) -> None:
    try:
        found = Checkpoint(folder, parent.name).architecture
    except WidthwiseError as error:
        raise OutputError(f"the result would not be a whole checkpoint: {error}") from error
    was = parent.architecture
    if (found.stem, found.layers, set(found.cuts)) != (was.stem, was.layers, set(was.cuts)):
        raise OutputError(
            f"the result would have its GLU blocks in {found.stem} ({found.layers} layers), and "
            f"not in {was.stem} ({was.layers} layers); nothing was written"
        )
    if found.intermediate_size != plan.width:
        raise OutputError(
            f"the result would have blocks of {found.intermediate_size} neurons instead of "
            f"{plan.width}; nothing was written"
        )
