"""A GGUF file made into a plain checkpoint folder of safetensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, OutputError, UnsupportedModelError
from ..io import lfs_pointer, locked_workdir, move_into_place
from .gguf_keys import GgufSettings
from .gguf_rope import check_rotation

if TYPE_CHECKING:
    import torch

_NO_MODELS = ("adapter", "imatrix", "mmproj")  # values of general.type
CONVERSION = 2  # raised when the same file is converted to something else


def convert_gguf(path: Path, out: Path, dtype: str | torch.dtype) -> None:
    """Convert a single GGUF file, quantized or not, to a safetensors checkpoint folder.

    The folder holds weights, config, tokenizer and chat template, and appears whole or not at all.
    What the file states of its network and transformers' reader drops (scaled rotations, biases,
    ends of turns) is in the config; what no config can state is refused.

    Args:
        path: The GGUF file.
        out: Folder to make; must not exist.
        dtype: Storage type of the weights, `"bfloat16"`, `"float16"` or `"float32"`.

    Raises:
        CheckpointError: Not a GGUF file, or a truncated one.
        UnsupportedModelError: An architecture that transformers cannot read, a split file, or a key
            or a tensor that the converted model could not honour.
        OutputError: `out` exists, or its parent cannot be written.

    Cost: the dequantized model is held in memory.
    """
    reader = _checked_reader(path)
    licence = _licence(reader)
    try:
        with locked_workdir(out.parent / f".{out.name}.partial") as work:
            if out.exists():
                raise OutputError(f"{out} already exists; choose another folder")
            built = work / out.name
            with _parsed_once(reader):
                _convert(path, built, dtype, reader)
            if licence:
                (built / "README.md").write_text(f"---\nlicense: {licence}\n---\n", encoding="utf8")
            for file in sorted(built.iterdir()):
                file.chmod(0o644)  # safetensors writes 0600, which nobody else could read
            move_into_place(built, out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error}") from error


def _checked_reader(path: Path) -> Any:
    """A reader of the file; raises unless it is whole, single and of a known architecture."""
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        if pointer := lfs_pointer(path):
            raise CheckpointError(f"{path}: {pointer}")
        if magic != b"GGUF":
            raise CheckpointError(f"{path} is not a GGUF file: it begins with {magic!r}")
        reader = gguf_reader(path)
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise CheckpointError(f"{path} is truncated or damaged: {error}") from error
    kind = reader.get_field("general.type")
    if kind is not None and kind.contents() in _NO_MODELS:
        raise UnsupportedModelError(f"{path} holds no model: it is of type {kind.contents()!r}")
    split = reader.get_field("split.count")
    if split is not None and split.contents() not in (0, 1):
        raise UnsupportedModelError(f"{path} is one of {split.contents()} parts; merge them first")
    field = reader.get_field("general.architecture")
    architecture = "none" if field is None else str(field.contents())
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        raise UnsupportedModelError(
            f"{path} holds the architecture {architecture!r}, which transformers cannot read"
        )
    return reader


def gguf_reader(path: Path) -> Any:
    """gguf's reader, unchecked, with the file as a plain array.

    Each of the million slices that the words of a tokenizer take is a third as slow as one of a
    memory map.
    """
    import gguf
    import numpy as np

    class Reader(gguf.GGUFReader):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value.view(np.ndarray) if name == "data" else value)

    return Reader(path)


@contextmanager
def _parsed_once(reader: Any) -> Iterator[None]:
    """While open, transformers uses this reader; otherwise it parses the file three times: for the
    config, the weights and the tokenizer."""
    import gguf

    package: Any = gguf
    original = package.GGUFReader
    package.GGUFReader = lambda *_, **__: reader
    try:
        yield
    finally:
        package.GGUFReader = original


def _licence(reader: Any) -> str | None:
    """The licence that the file states."""
    licence = reader.get_field("general.license")
    return None if licence is None else " ".join(str(licence.contents()).split())


def _model(path: Path, dtype: str | torch.dtype, stated: GgufSettings) -> Any:
    """The model of the file, with all that the file states; raises where that cannot be."""
    from transformers import AutoConfig, AutoModelForCausalLM, GgufConfig

    source: dict[str, Any] = {"gguf_file": path.name}
    config = AutoConfig.from_pretrained(path.parent, **source)
    rotation = stated.complete(config)
    loader: Any = AutoModelForCausalLM
    how = {"dtype": dtype, "quantization_config": GgufConfig(dequantize=True), "config": config}
    model, report = loader.from_pretrained(path.parent, output_loading_info=True, **how, **source)
    if missing := sorted(report["missing_keys"]):
        raise UnsupportedModelError(f"no tensor for {missing[0]}")
    stated.check_tensors(model)
    if rotation is not None:
        check_rotation(model, *rotation)
    return model


def _convert(path: Path, out: Path, dtype: str | torch.dtype, reader: Any) -> None:
    from transformers import AutoTokenizer

    with _quiet_transformers():
        try:
            stated = GgufSettings(reader)
            model = _model(path, dtype, stated)
            tokenizer: Any = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
        except UnsupportedModelError as error:
            raise UnsupportedModelError(f"{path} cannot be converted: it has {error}") from error
        except Exception as error:  # tokenizers raises nothing more precise
            raise UnsupportedModelError(f"{path} cannot be converted: {error}") from error
        for key in ("quantization_config", "_model_name_or_path"):
            if hasattr(model.config, key):
                delattr(model.config, key)
        model.hf_quantizer = None  # else saving asks the quantizer, which can only write GGUF
        model.generation_config = _generation(model.config, stated.ends)
        tokenizer.model_max_length = model.config.max_position_embeddings  # GGUF leaves 1e30
        for key in ("is_local", "local_files_only"):
            tokenizer.init_kwargs.pop(key, None)
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)


def _generation(config: Any, ends: tuple[int, ...]) -> Any:
    """Generation settings that hold the special tokens, all that end a turn, and nothing else."""
    import transformers

    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    make: Any = transformers.GenerationConfig
    made = make(**{name: getattr(config, name, None) for name in names})
    if len(ends) > 1 and not isinstance(made.eos_token_id, list):
        made.eos_token_id = list(ends)
    return made


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No warnings and no progress bars, not even the one of the GGUF reader that always shows."""
    from transformers import modeling_gguf_pytorch_utils
    from transformers.utils import logging

    log: Any = logging
    reader: Any = modeling_gguf_pytorch_utils
    verbosity, bars, tqdm = log.get_verbosity(), log.is_progress_bar_enabled(), reader.tqdm
    log.set_verbosity_error()
    log.disable_progress_bar()
    reader.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        reader.tqdm = tqdm
        log.set_verbosity(verbosity)
        if bars:
            log.enable_progress_bar()
