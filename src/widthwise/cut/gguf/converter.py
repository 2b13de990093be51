"""A checkpoint folder as a GGUF file in float, by llama.cpp's own converter."""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ...arch import text_config
from ...assets import gguf_converter
from ...errors import OutputError, RunError, UnsupportedModelError
from ...notices import notice
from ..checkpoint import INDEX, Checkpoint, companions, read_json
from .llama_cpp import (
    GRANTED,
    HEAD_APART_FAMILIES,
    HEAD_SIZE,
    OTHER_TOKENS,
    UNEVEN,
    UNEVEN_FAMILIES,
)

# What the system says of a disk, a file or a quota that is full, and what numpy says.
_FULL, _CUT_SHORT = (
    (errno.ENOSPC, errno.EFBIG, errno.EDQUOT),
    re.compile(r"requested and \d+ written"),
)
_CARD = "README.md"  # its head states licence and authors
_TOKENIZERS = ("*tokenizer*.json", "*.model", "vocab*", "*.tiktoken", "tekken.json")


def require_sentencepiece() -> None:
    """Raise RunError unless the package that the converter imports is installed."""
    if find_spec("sentencepiece") is None:
        raise RunError(
            "llama.cpp's converter needs the package sentencepiece: pip install 'widthwise[gguf]'"
        )


def check_convertible(checkpoint: Checkpoint) -> None:
    """Raise where the converter could not begin, or llama.cpp would compute something else.

    Of a family where it is not known why llama.cpp does, say so.

    The converter is fetched, once.

    Raises:
        UnsupportedModelError: It is an encoder, the folder holds no tokenizer, or its config a
            setting that GGUF cannot state.
        RunError: A package that the converter imports is not installed.
        AssetError: The converter cannot be had.
    """
    if not checkpoint.architecture.is_causal:
        raise UnsupportedModelError(
            f"{checkpoint.name} does not continue a text (it is an encoder, or has one), and only "
            "models that do are exported; keep the folder, which transformers loads"
        )
    tokenizer = checkpoint.tokenizer_folder
    if not any(next(tokenizer.glob(pattern), None) for pattern in _TOKENIZERS):
        raise UnsupportedModelError(
            f"{checkpoint.name}: the folder holds no tokenizer (tokenizer.json or "
            "tokenizer.model), and a GGUF file must hold one; copy the files of the tokenizer "
            "into the folder"
        )
    _refuse_unstated(text_config(checkpoint.config), checkpoint.name)
    _refuse_uneven(checkpoint)
    _refuse_tied(checkpoint)
    require_sentencepiece()
    gguf_converter()
    if (family := str(text_config(checkpoint.config).get("model_type"))) in OTHER_TOKENS:
        notice(
            f"llama.cpp wrote other tokens than transformers on a tiny random model of {family}; "
            "compare their answers before you use the file."
        )


def _refuse_unstated(config: Mapping[str, Any], name: str) -> None:
    """Raise where a setting is not what llama.cpp takes for granted of a family."""
    family, heads = str(config.get("model_type")), config.get("num_attention_heads") or 1
    if family not in GRANTED:
        return
    setting, value = GRANTED[family]
    sizes = (config.get("head_dim"), (config.get("hidden_size") or 0) // heads)
    granted = sizes if value == HEAD_SIZE else (value,)
    if setting in config and config[setting] not in granted:
        raise UnsupportedModelError(
            f"{name}: llama.cpp would compute something else, as GGUF cannot state "
            f"{setting} = {config[setting]} of {family}"
        )


def _refuse_tied(checkpoint: Checkpoint) -> None:
    """Raise where llama.cpp would ask for a head, and the model uses its table of words as one."""
    family = str(text_config(checkpoint.config).get("model_type"))
    if family in HEAD_APART_FAMILIES and not any(
        name.endswith("lm_head.weight") for name in checkpoint.tensors
    ):
        raise UnsupportedModelError(
            f"{checkpoint.name}: llama.cpp loads a {family} only with a head of its own, and this "
            "one ties it to its table of words; set tie_word_embeddings to false and save the "
            "model with its lm_head.weight"
        )


def _refuse_uneven(checkpoint: Checkpoint) -> None:
    """Raise where layers are stored in several widths that llama.cpp would not read."""
    config, widths = text_config(checkpoint.config), checkpoint.widths
    if "per_layer_config" not in config or len(set(widths)) == 1:
        return
    check_uneven(
        checkpoint,
        f"its layers have {min(widths)} to {max(widths)} neurons",
        "cut the dense model with --per-layer padded, and export that",
    )


def check_uneven(checkpoint: Checkpoint, why: str, advice: str) -> None:
    """Raise UnsupportedModelError where llama.cpp reads one width alone for all layers of a family.

    Args:
        checkpoint: A model.
        why: What it has that needs several, in words.
        advice: What to do instead.
    """
    family = str(text_config(checkpoint.config).get("model_type"))
    if family not in UNEVEN_FAMILIES:
        raise UnsupportedModelError(
            f"{checkpoint.name}: {why}, and llama.cpp reads one width for all layers of {family}; "
            f"{advice}"
        )


def words_bytes(checkpoint: Checkpoint) -> int:
    """Bytes that a tokenizer has in a file, about.

    A word has its length before it and its type behind it, and a merge its length.
    """
    folder = checkpoint.tokenizer_folder
    file = folder / "tokenizer.json"
    if not file.is_file():  # of sentencepiece, whose pieces are as long
        found = [each for name in _TOKENIZERS for each in folder.glob(name)]
        return max(each.stat().st_size for each in found)
    model = read_json(file).get("model") or {}
    words, merges = model.get("vocab") or (), model.get("merges") or ()
    texts = [word if isinstance(word, str) else word[0] for word in words]
    joined = [each if isinstance(each, str) else " ".join(each) for each in merges]
    length = sum(len(text.encode("utf8")) for text in (*texts, *joined))
    return length + 12 * len(texts) + 8 * len(joined)


def convert(checkpoint: Checkpoint, work: Path, out: Path, file_type: str) -> None:
    """Write a checkpoint as a GGUF file of a type without blocks.

    Layers that zeros pad to a common width are written in their own where llama.cpp reads that.

    Args:
        checkpoint: The folder, opened.
        work: An empty folder for what the converter is shown.
        out: File to write.
        file_type: `"f32"`, `"f16"` or `"bf16"`.

    Raises:
        UnsupportedModelError: The converter cannot convert it; the message says why.
        OutputError: The disk is full, or the file larger than the system allows.
        RunError: The converter was killed.

    Cost: a process of its own; it reads each byte once and holds one tensor in memory, the largest
    as float32.
    """
    folder = _shown(checkpoint, work)
    job = {
        "wheel": str(gguf_converter()),
        "folder": str(folder),
        "out": str(out),
        "type": file_type,
        "layered": UNEVEN,
        **_padding(checkpoint),
    }
    program = Path(__file__).with_name("converter_process.py")
    command = [sys.executable, "-P", str(program), json.dumps(job)]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        errors="replace",
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
    )
    if done.returncode or done.stdout:
        said = done.stdout.replace(str(folder), str(checkpoint.path))
        raise _cause(checkpoint, said, done)


def _cause(
    checkpoint: Checkpoint, said: str, done: subprocess.CompletedProcess[str]
) -> UnsupportedModelError | OutputError | RunError:
    """What is wrong, from what the process said or left."""
    if any(os.strerror(each) in said for each in _FULL) or _CUT_SHORT.search(said):
        return OutputError(
            f"the disk is full, or a limit of the system on sizes is reached (ulimit -f): {said}"
        )
    if not said:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return RunError(
            f"llama.cpp's converter ended with {done.returncode} on {checkpoint.name}: {last}"
        )
    return UnsupportedModelError(
        f"{checkpoint.name} cannot be written as GGUF by llama.cpp's converter of August 2026: "
        f"{said}; a newer llama.cpp may bring a convert_hf_to_gguf.py that can"
    )


def _shown(checkpoint: Checkpoint, work: Path) -> Path:
    """A folder of what is read of the checkpoint, under its name, which becomes that of the model.

    The converter takes every file of weights whose name begins with `model`, no other, and an index
    that lies beside one file of all. So it gets those that transformers loads, by such names.
    """
    name = Path(checkpoint.name.partition("@")[0]).name or "model"
    folder = work / name.removesuffix(".gguf")
    folder.mkdir()
    for each in {"config.json", _CARD, *companions(checkpoint.path)}:
        _link(folder / each, checkpoint.path / each)
    if checkpoint.is_compact:  # by the name of its family, whose class the converter knows
        (folder / "config.json").unlink()
        (folder / "config.json").write_text(json.dumps(_named(checkpoint.config)), encoding="utf8")
    files = sorted({stored.file for stored in checkpoint.stored.values()})
    names = {file: f"model-{number:05}.safetensors" for number, file in enumerate(files)}
    for file, shown in names.items():
        _link(folder / shown, file)
    places = {name: names[stored.file] for name, stored in checkpoint.stored.items()}
    (folder / INDEX).write_text(json.dumps({"weight_map": places}), encoding="utf8")
    return folder


def _link(name: Path, file: Path) -> None:
    if file.is_file():
        name.symlink_to(file.resolve())


def _named(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config with the class that transformers has for its family."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    family = str(config["model_type"])
    return {**config, "architectures": [MODEL_FOR_CAUSAL_LM_MAPPING_NAMES[family]]}


def _padding(checkpoint: Checkpoint) -> dict[str, Any]:
    """Widths of the layers, and which tensors zeros pad; nothing where one width is that of all."""
    architecture, widths = checkpoint.architecture, checkpoint.widths
    if len(set(widths)) == 1 or architecture.is_mixture:
        return {"widths": None, "narrow": {}}
    narrow = {
        name: (cut.axis, cut.parts, widths[cut.group]) for name, cut in architecture.cuts.items()
    }
    return {"widths": list(widths), "narrow": narrow}
