"""The one loader: the model that a checkpoint stores, whole, or an error that names what is not.

transformers fills what is not stored with random numbers, and leaves out what it has no place for.
Names are therefore compared before any weight is read: a model without memory is "loaded" from
tensors without memory, by transformers itself, with all the renaming that it does.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias

from ...errors import CheckpointError, UnsupportedModelError
from ...io import TORCH_DTYPES, out_of_memory
from ...notices import notice
from .model_class import ModelClass, cause_of, check_causal_class, model_class_of
from .reader import read_json

if TYPE_CHECKING:
    from torch import Tensor

    from ...arch import Architecture
    from .reader import Checkpoint

    Loaded: TypeAlias = "tuple[Any, dict[str, Any]]"

# A folder of full weights may hold an adapter as well; it is looked for where there is none.
_NO_ADAPTER = {"subfolder": "no-adapter-beside-full-weights"}
_BUFFERS = re.compile(r"(rotary_emb\.inv_freq|masked_bias|\.attention\.bias|\.[qkv]_scale)$")
_LAYER = re.compile(r"(.*\blayers)\.\d+\.")
_SHOWN = 3  # names in a message


def load_model(checkpoint: Checkpoint, *, dtype: Any = "auto") -> Any:
    """The model of a checkpoint in eval mode on the CPU; an adapter in its folder is not applied.

    Args:
        checkpoint: The checkpoint, opened.
        dtype: torch dtype of its weights; `"auto"` for that of the config.

    Raises:
        CheckpointError: A tensor is missing or of another shape, or transformers cannot load it.
        UnsupportedModelError: transformers has no class for it.
    """
    builder = model_class_of(checkpoint)
    check_stored(checkpoint, builder)
    read = _decoded if checkpoint.decoded_dtype else _from_files
    model, report = read(checkpoint, builder, dtype)
    _refuse(checkpoint, builder, report, model)
    model.eval()
    return model


def _from_files(checkpoint: Checkpoint, builder: ModelClass, dtype: Any) -> Loaded:
    """What transformers makes of a folder, and what it reports of that."""
    try:
        model, report = builder.model_class.from_pretrained(
            checkpoint.path,
            config=builder.config,
            dtype=dtype,
            adapter_kwargs=_NO_ADAPTER,
            use_safetensors=True,
            output_loading_info=True,
        )
    except Exception as error:  # of many kinds, by what is wrong
        if out_of_memory(error):
            raise
        raise _cannot_load(checkpoint, error) from error
    return model, report


def _decoded(checkpoint: Checkpoint, builder: ModelClass, dtype: Any) -> Loaded:
    """The same of quantized weights, which are decoded one by one.

    So every command sees the same numbers, and no package of the method is needed.
    """
    assert checkpoint.decoded_dtype is not None
    dtype = TORCH_DTYPES[checkpoint.decoded_dtype] if dtype == "auto" else dtype
    lock = Lock()  # transformers reads in several threads
    tensors = {name: StoredAtNeed(checkpoint, name, lock) for name in checkpoint.tensors}
    with checkpoint:  # files that are asked again are opened again
        model, report = built_from(checkpoint, builder, tensors, dtype=dtype)
    if model.can_generate() and (checkpoint.path / "generation_config.json").exists():
        from transformers import GenerationConfig

        model.generation_config = GenerationConfig.from_pretrained(checkpoint.path)
    return model, report


class StoredAtNeed:
    """A tensor of a checkpoint that is read when transformers takes its place `[...]`."""

    def __init__(self, checkpoint: Checkpoint, name: str, lock: Lock) -> None:
        self._checkpoint, self._name, self._lock = checkpoint, name, lock
        self.shape = checkpoint.tensors[name].spec.shape

    def __getitem__(self, place: Any) -> Tensor:
        with self._lock:
            rows = self._checkpoint.rows(self._name, 0, self.shape[0] if self.shape else 1)
        return rows.reshape(self.shape)[place]


def check_loadable(checkpoint: Checkpoint) -> None:
    """Raise unless `load_model` would find a causal language model, whole; reads no weight.

    Raises:
        CheckpointError, UnsupportedModelError: As `load_model`, or the model is an encoder.
    """
    check_causal_class(checkpoint)
    check_stored(checkpoint, model_class_of(checkpoint))


def check_complete(checkpoint: Checkpoint) -> None:
    """Raise where names show that the model cannot be loaded; say so where that cannot be told.

    Raises:
        CheckpointError: A tensor is missing, of another shape, or under a name of no use.
    """
    if checkpoint.is_compared:
        return
    try:
        builder = model_class_of(checkpoint)
    except (CheckpointError, UnsupportedModelError) as error:
        # Another transformers may know the model; weights can be cut without a class.
        _refuse_absent(checkpoint)
        notice(f"Only the tensors of GLU blocks were checked, as no model can be built: {error}.")
        return
    model, report = _without_data(checkpoint, builder)
    _refuse(checkpoint, builder, report, model)
    _note_old_widths(checkpoint, builder, report["unexpected_keys"])


def _note_old_widths(checkpoint: Checkpoint, builder: ModelClass, unused: Collection[str]) -> None:
    """Say which tensors that nobody uses have a size that is the width, or looks so."""
    architecture = checkpoint.architecture
    width = architecture.intermediate_size
    result = [
        name
        for name in sorted(set(unused) & set(architecture.tensors))
        if width != architecture.hidden_size and width in architecture.tensors[name].shape
    ]
    if result:
        notice(
            f"{builder.name} does not use {_listed(result)}, which a cut copies as stored; a size "
            f"of {width}, the old width, may tie it to blocks that are cut."
        )


def _refuse_absent(checkpoint: Checkpoint) -> None:
    """Raise where an index names a tensor that is not stored.

    Transformers loads what the files hold: an index may name more than a known class needs.
    """
    if checkpoint.index is None:
        return
    for name, file in read_json(checkpoint.index)["weight_map"].items():
        if name not in checkpoint.stored:
            raise CheckpointError(
                f"{checkpoint.path / str(file)}: tensor {name} is missing, but "
                f"{checkpoint.index.name} lists it"
            )


def check_stored(checkpoint: Checkpoint, builder: ModelClass) -> None:
    """Raise unless all that the class needs is stored, and all that it could use is used.

    Raises:
        CheckpointError: Names the tensors, and why they do not fit where that is plain.
    """
    model, report = _without_data(checkpoint, builder)
    _refuse(checkpoint, builder, report, model)
    if (index := checkpoint.index) and "metadata" not in read_json(index):
        raise CheckpointError(
            f"{index}: has no entry 'metadata', without which transformers does not load it; add "
            '"metadata": {}'
        )


def _without_data(checkpoint: Checkpoint, builder: ModelClass) -> tuple[Any, dict[str, Any]]:
    """The model without memory, and what transformers would report of loading it."""
    import torch

    stored = {
        name: torch.empty(entry.spec.shape, dtype=torch.float32, device="meta")
        for name, entry in checkpoint.tensors.items()
    }
    return built_from(checkpoint, builder, stored, device_map="meta")


def built_from(
    checkpoint: Checkpoint, builder: ModelClass, tensors: Mapping[str, Any], **how: Any
) -> tuple[Any, dict[str, Any]]:
    """A model of given tensors, and what transformers reports of loading them, in silence."""
    try:
        with quiet():
            model, report = builder.model_class.from_pretrained(
                None,
                config=builder.config,
                state_dict=dict(tensors),
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                **how,
            )
    except Exception as error:  # of many kinds, by what is wrong with the config
        if out_of_memory(error):
            raise
        raise _cannot_load(checkpoint, error) from error
    return model, report


def _cannot_load(checkpoint: Checkpoint, error: Exception) -> CheckpointError:
    return CheckpointError(f"{checkpoint.path}: transformers cannot load it: {cause_of(error)}")


@contextmanager
def quiet() -> Iterator[None]:
    """Neither a report nor a bar of transformers, while open."""
    from transformers.utils import logging

    log: Any = logging
    level, with_bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity(log.CRITICAL)
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if with_bars:
            log.enable_progress_bar()


def _refuse(
    checkpoint: Checkpoint, builder: ModelClass, report: Mapping[str, Any], model: Any
) -> None:
    """Raise where a report of transformers says that the model is not the stored one."""
    missing, unused = sorted(report["missing_keys"]), sorted(report["unexpected_keys"])
    needed = len(model.state_dict())
    where = f"{checkpoint.path}: "
    if missing:
        raise CheckpointError(
            f"{where}tensors of {builder.name} are missing ({len(missing)} of {needed}), and would "
            f"be random: {_listed(missing)}{_reason(missing, unused, model)}"
        )
    if report["mismatched_keys"]:
        name, stored, built = sorted(report["mismatched_keys"])[0]
        raise CheckpointError(
            f"{where}{name} has shape {list(stored)} in the files, but shape {list(built)} in "
            f"{builder.name} by config.json"
        )
    modules = frozenset(name for name, _ in model.named_modules())
    drafts = _draft_layers(checkpoint.architecture)
    if lost := [n for n in unused if _has_place(n, modules) and not n.startswith(drafts)]:
        raise CheckpointError(
            f"{where}{builder.name}, by config.json, has no place for some stored tensors, and "
            f"would ignore them: {_listed(lost)}"
        )


def _draft_layers(architecture: Architecture) -> tuple[str, ...]:
    """Begins of the names of draft layers.

    Names in them may have changed: transformers merges experts before it finds no place for them.
    """
    kept = architecture.drafts.tensors if architecture.drafts else {}
    names = (*kept, *architecture.left_out)
    return tuple({match[0] if (match := _LAYER.match(name)) else name for name in names})


def _listed(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _reason(missing: Collection[str], unused: Collection[str], model: Any) -> str:
    """Why tensors are missing, as a clause to add, or nothing."""
    extra, example = _extra(set(missing), unused)
    if extra:
        return (
            f"; stored names have {extra!r} too much, as a wrapper adds it ({example}): store them "
            "without"
        )
    if unused:
        return f"; stored, but not used: {_listed(unused)}"
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    if head is not None and set(missing) == {f"{_name_of(model, head)}.weight"}:
        return (
            '; if the head is the embedding table, config.json must say "tie_word_embeddings": true'
        )
    return ""


def _extra(missing: Collection[str], unused: Collection[str]) -> tuple[str, str]:
    """What most unused names have more than missing ones, and the first of these names."""
    result: dict[str, list[str]] = {}
    for name in unused:
        if extra := _more(name, missing):
            result.setdefault(extra, []).append(name)
    if not result:
        return "", ""
    extra = max(result, key=lambda each: len(result[each]))
    return extra, result[extra][0]


def _more(name: str, missing: Collection[str]) -> str:
    """The parts of a name without which it is a missing one, or nothing."""
    parts = name.split(".")
    for start in range(len(parts)):
        for stop in range(start + 1, len(parts)):
            if ".".join(parts[:start] + parts[stop:]) in missing:
                return ".".join(parts[start:stop]) + "."
    return ""


def _name_of(model: Any, module: Any) -> str:
    return next(str(name) for name, each in model.named_modules() if each is module)


def _has_place(name: str, modules: Collection[str]) -> bool:
    """Whether a tensor that is not used belongs to a module that the model has.

    Parts that it does not have, such as draft layers or a tower of another task, are no part of
    the language model.
    """
    if _BUFFERS.search(name):
        return False
    owner = name.rpartition(".")[0]
    layer = _LAYER.match(name)
    return owner in modules or (layer is not None and layer[1] in modules)
