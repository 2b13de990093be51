"""The model card of a pruned checkpoint: what was done, to what, and how to load it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...arch import counts_at, draft_note, mean_size
from ..plan import Plan
from .model_class import auto_class_of, needs_code
from .tokenizer import has_tokenizer
from .write_options import WriteOptions

if TYPE_CHECKING:
    from ..refit_result import Refit
    from .reader import Checkpoint

_PROCESSORS = ("processor_config.json", "preprocessor_config.json")
_CARD = """\
---
{license}{base_model}library_name: transformers
tags:
- widthwise
- width-pruning
---
# {parent}, cut to {title}

{what}
with widthwise{refitted}. It was not trained after that: measure what it lost of what the parent
knows before you use it.

| | parent | this model |
|---|---|---|
| intermediate size | {dense_width} | {width_range} |
| expansion ratio | {dense_ratio} | {ratio} |
| parameters | {dense.parameters:,} | {parameters:,} |
| bytes of weights | {dense.weight_bytes:,} | {weight_bytes:,} |

- asked: `{plan.asked}`; got: {got_words}
{layer_lines}- criterion: `{plan.criterion}`{seed}
- command: `{command}`
{refit_lines}- plan: sha256 `{plan.digest}` (`widthwise_plan.json`)
- parent: `{parent}`, weights sha256 `{parent_hash}`
- licence of the parent: {license_words}
{notes}
{how}{code}"""

_PADDED = """\
Parameters and bytes above are those of the narrow layers. So that this folder loads anywhere, every
layer is stored {width} neurons wide, the missing ones as zeros: on disk, in memory and in time this
model costs what width {width} costs ({stored_bytes:,} bytes of weights), not what its narrow layers
would. Its answers are theirs.

"""

_COMPACT = """\
Every layer is stored in its own size, which transformers alone cannot load: its code is in
`widthwise_compact.py` in this folder, which needs nothing else. Read it, and load with
`trust_remote_code=True`. Programs that do not run such code cannot load this folder; the same model
padded (`--per-layer padded`) loads anywhere.

"""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A pruned checkpoint that is there but for its card.

    Attributes:
        folder: Where it lies.
        parent_hash: sha256 over the data of the parent's tensors, in the order of the result.
        stored_bytes: Bytes of its tensors, padding included.
        is_compact: Whether each layer is stored in its own size.
        draft_criterion: How the neurons of draft layers were chosen; "" without any.
    """

    folder: Path
    parent_hash: str
    stored_bytes: int
    is_compact: bool
    draft_criterion: str


def model_card(
    checkpoint: Checkpoint,
    plan: Plan,
    written: Written,
    options: WriteOptions,
    refit: Refit | None = None,
) -> str:
    """Markdown with a YAML head."""
    architecture, lines = checkpoint.architecture, license_lines(checkpoint)
    dense = counts_at(architecture)
    parameters, weight_bytes = mean_size(architecture, plan.layer_widths, options.stored_dtype)
    ratios = [_ratios(plan, of_parent=whole) for whole in (True, False)]
    hub_id = re.fullmatch(r"([\w.-]+/[\w.-]+)(@.*)?", checkpoint.name)
    return _CARD.format(
        license="".join(f"{line}\n" for line in lines),
        license_words=license_words(lines),
        parent=checkpoint.name,
        base_model=f"base_model: {hub_id[1]}\n" if hub_id else "",
        title=" / ".join(f"{kind.name} {kind.kept}" for kind in plan.kinds) or ratios[1],
        dense_ratio=ratios[0],
        ratio=ratios[1],
        dense=dense,
        dense_width=" / ".join(str(kind.width) for kind in plan.kinds) or plan.intermediate_size,
        what=_what(plan),
        width_range=_range(plan),
        parameters=parameters,
        weight_bytes=weight_bytes,
        plan=plan,
        got_words=plan.sizes.words.rstrip(","),
        layer_lines="" if plan.uniform else f"- by layers: {', '.join(map(str, plan.widths))}\n",
        how=_how(plan, written),
        code=loading_code(written.folder),
        seed="" if plan.seed is None else f", seed {plan.seed}",
        command=options.command or "widthwise.prune_checkpoint(...) in Python",
        parent_hash=written.parent_hash,
        refitted=", and down_proj refitted" if refit else "",
        notes=_notes(checkpoint, plan, written),
        refit_lines="" if refit is None else _refit_lines(refit),
    )


def _notes(checkpoint: Checkpoint, plan: Plan, written: Written) -> str:
    """Lines on what else was done, and on what the widths do not suit."""
    drafts = draft_note(checkpoint.architecture, written.draft_criterion)
    notes = (_quantized(checkpoint), drafts, plan.sizes.suitability)
    return "".join(f"- {note}\n" for note in notes if note)


def loading_code(folder: Path) -> str:
    """Lines of Python that load all that a checkpoint folder holds, as a block of Markdown."""
    config: Mapping[str, Any] = json.loads((folder / "config.json").read_text(encoding="utf8"))
    loaders = {"model": auto_class_of(config, folder)}
    if any((folder / name).exists() for name in _PROCESSORS):
        loaders["processor"] = "AutoProcessor"
    elif has_tokenizer(folder):
        loaders["tokenizer"] = "AutoTokenizer"
    trust = ", trust_remote_code=True" if needs_code(config) else ""
    lines = [f"from transformers import {', '.join(sorted(loaders.values()))}"]
    lines += [
        f'{what} = {name}.from_pretrained("path/to/this/folder"{trust})'
        for what, name in loaders.items()
    ]
    return "\n".join(["```python", *lines, "```", ""])


def _what(plan: Plan) -> str:
    """What was cut, as the begin of a sentence."""
    if plan.kinds:
        is_mixture = any(kind.name == "experts" for kind in plan.kinds)
        what = "mixture of experts" if is_mixture else "model"
        return f"The blocks of this {what} were cut ({plan.sizes.words})"
    words = str(plan.width) if plan.uniform else f"between {_range(plan, 'and')}, by layers,"
    size = plan.intermediate_size
    return f"The GLU-MLP blocks of this model were cut from {size} neurons a layer to {words}"


def _range(plan: Plan, between: str = "to") -> str:
    if plan.kinds:
        return " / ".join(str(kind.kept) for kind in plan.kinds)
    return str(plan.width) if plan.uniform else f"{min(plan.widths)} {between} {plan.width}"


def _ratios(plan: Plan, *, of_parent: bool) -> str:
    """Width / hidden size of the parent or of what is left of it; of each kind of group."""
    widths: list[float] = [kind.width if of_parent else kind.kept for kind in plan.kinds]
    widths = widths or [plan.intermediate_size if of_parent else plan.mean_width]
    return " / ".join(f"{width / plan.hidden_size:.3f}x" for width in widths)


def _how(plan: Plan, written: Written) -> str:
    """What layers of unequal widths mean for whoever loads them."""
    if written.is_compact:
        return _COMPACT
    if plan.uniform:
        return ""
    return _PADDED.format(width=plan.width, stored_bytes=written.stored_bytes)


def _quantized(checkpoint: Checkpoint) -> str:
    """What was done to weights that the parent stores quantized, as a line."""
    if checkpoint.quantization is None:
        return ""
    return (
        f"quantized parent: its {checkpoint.quantization.note}; this model is cut from what was "
        "read, and is not quantized; the bytes above count the parent as it was read"
    )


def _refit_lines(refit: Refit) -> str:
    worst = max(range(len(refit.layers)), key=lambda i: refit.layers[i].held_out_error)
    texts = "; ".join(
        f"{part.fit_tokens + part.held_out_tokens:,} tokens of {part.source}"
        for part in refit.parts
    )
    how = "layer after layer" if refit.sequential else "on the moments of the dense model"
    return (
        f"- refit: ridge regression of down_proj, {how}; largest relative error on the "
        f"half of the text that chose the ridge {refit.layers[worst].held_out_error:.3f}, in "
        f"{refit.plan.unit} {worst} (`widthwise_refit.json`; `widthwise inspect` checks the "
        "weights)\n"
        f"- calibration: {texts}\n"
        + (f"- rows of matrices and norms scaled: {refit.scales}\n" if refit.scales else "")
        + "".join(f"- lost by the cut: {loss}\n" for loss in refit.losses)
    )


def license_lines(checkpoint: Checkpoint) -> list[str]:
    """The `license:` lines of the parent's own model card, as they stand there."""
    card = checkpoint.path / "README.md"
    if not card.exists():
        return []
    head = re.match(r"---\n(.*?)\n---", card.read_text(encoding="utf8", errors="replace"), re.S)
    lines = head[1].splitlines() if head else []
    return [line for line in lines if re.match(r"license(_name|_link)?:\s*\S", line)]


def license_words(lines: list[str]) -> str:
    """The parent's licence by the lines of `license_lines`, in a few words.

    >>> license_words(["license: apache-2.0 # by its authors"])
    'apache-2.0 (by its authors)'
    """
    licence, _, remark = lines[0].partition(":")[2].partition(" #") if lines else ("", "", "")
    words = licence.strip() or "not stated"
    return f"{words} ({remark.strip()})" if remark else words
