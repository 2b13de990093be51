"""Shared fixtures: quiet libraries, restored global state, an offline hub."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
# transformers starts four threads to load a model, for tiny ones a fifth of all the time.
os.environ.setdefault("HF_DEACTIVATE_ASYNC_LOAD", "1")

import shape_checks

# On a busy machine any example may take long.
hypothesis.settings.register_profile(
    "patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("patient")
shape_checks.install()  # before any module of the package is imported
gc.disable()  # imports and compiled tests stay: half the time would go into a search for garbage


def pytest_configure(config: pytest.Config) -> None:
    """Tests that are not of a GPU see none: some ask for the last bit, which a CPU repeats.

    Their folders are in memory if there is room.
    """
    if "gpu" not in config.option.markexpr.replace("not gpu", ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    # Files of checkpoints are written through to the disk, on which most tests would wait.
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4e9:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(memory))


def pytest_collection_finish() -> None:
    """From here on garbage is searched for, but not among what the collection of tests made."""
    gc.freeze()
    gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Generator[None, Any, Any]:
    """What a test imported stays until the end, so it is not searched again either."""
    before = len(sys.modules)
    result = yield
    if len(sys.modules) > before + 20:
        gc.collect()
        gc.freeze()
    return result


@pytest.fixture(autouse=True)
def _global_state() -> Iterator[None]:
    """Tests may not leave another default dtype, seed or answer to Ctrl-C behind."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    dtype, state = torch.get_default_dtype(), torch.get_rng_state()
    on_interrupt = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, on_interrupt)
    torch.set_default_dtype(dtype)
    torch.set_rng_state(state)


@pytest.fixture
def bench() -> Any:
    """A clock that tests move by hand, and meters that go by it."""
    from power_fakes import Bench

    return Bench()


@pytest.fixture
def llama_bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The log of a stand-in for llama-bench, which is on PATH."""
    from llama_bench import install

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return install(tmp_path / "bin")


@pytest.fixture
def llama() -> Any:
    from families import tiny

    return tiny("llama")


@pytest.fixture
def saved(tmp_path: Path, llama: Any) -> Path:
    """A tiny Llama checkpoint in bfloat16 on disk, with companions as real ones have."""
    import torch

    folder = tmp_path / "parent"
    llama.to(torch.bfloat16).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\ntags:\n- x\n---\n# Parent\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "X"}')
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    return folder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: Any) -> Path:
    """A tiny random Llama in float32, the embedded model's first words and its chat template.

    Weights are drawn wide (0.3, not 0.02), so that a cut changes answers and no two are nearly
    equal. Skips where the embedded model cannot be had.
    """
    import torch
    import transformers as hf
    from families import SHAPE
    from first_words import WORDS, save_first_words

    from widthwise.errors import AssetError

    folder: Path = tmp_path_factory.mktemp("speaking") / "tiny"
    try:
        save_first_words(folder)
    except AssetError as error:
        pytest.skip(f"the embedded model cannot be had: {error}")
    shape = {**SHAPE, "vocab_size": WORDS, "max_position_embeddings": 4096}
    state = torch.get_rng_state()
    torch.manual_seed(0)
    hf.utils.logging.disable_progress_bar()
    config = hf.LlamaConfig(**shape, initializer_range=0.3)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    torch.set_rng_state(state)
    return folder


@pytest.fixture(scope="module")
def first_documents() -> Iterator[None]:
    """Of the embedded tasks the first documents: the floors of all take a second of each run."""
    from widthwise.evaluate import documents, ifbench

    rows, prompts = documents.benchmark_rows, ifbench._prompts
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(documents, "benchmark_rows", lambda *of: rows(*of)[:100])
        patch.setattr(ifbench, "_prompts", lambda root: prompts(root)[:40])
        yield


@pytest.fixture(scope="session")
def text(tmp_path_factory: Any) -> Path:
    """What healings are trained on."""
    from healing_runs import save_text

    return save_text(tmp_path_factory.mktemp("text") / "text.txt")


@pytest.fixture(scope="session")
def dense(tmp_path_factory: Any) -> Path:
    """The parent of healings: a tiny Llama, whose cuts are felt."""
    from healing_runs import save_dense

    return save_dense(tmp_path_factory.mktemp("dense") / "dense")


@pytest.fixture(scope="session")
def child(tmp_path_factory: Any, dense: Path, text: Path) -> Path:
    """What is healed: that model cut and refitted."""
    from healing_runs import save_child

    return save_child(dense, text, tmp_path_factory.mktemp("child") / "child")


@pytest.fixture
def healed(child: Path, dense: Path, text: Path, tmp_path: Path) -> Any:
    """`heal` of that child, into `tmp_path / out`."""
    from healing_runs import QUICK

    from widthwise.prune.healing import HealSettings, heal

    def call(out: str = "out", **changes: Any) -> Any:
        options = {key: changes.pop(key) for key in ("progress", "force", "text") if key in changes}
        settings = HealSettings(**{**QUICK, **changes})
        return heal(
            child, dense, out=tmp_path / out, settings=settings,
            dtype="float32", **{"text": text, **options},
        )  # fmt: skip

    return call


@pytest.fixture
def short_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Healings read texts in blocks of 32 tokens instead of 512."""
    from healing_runs import BLOCK

    from widthwise.prune.calibration import text as texts
    from widthwise.prune.healing import text_blocks as blocks

    for module in (texts, blocks):
        monkeypatch.setattr(module, "BLOCK_TOKENS", BLOCK)


@pytest.fixture
def own_modules(tmp_path_factory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Code of compact checkpoints is copied to a folder of the test."""
    folder = tmp_path_factory.mktemp("modules")
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder))
    monkeypatch.syspath_prepend(folder)


@pytest.fixture
def quick_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits of the device, and times of blocks, without the seconds that these take."""
    from cost_runs import CEILINGS

    from widthwise import measure
    from widthwise.measure import blocks

    monkeypatch.setattr(measure, "measure_peak_rates", lambda device, dtype: CEILINGS)
    monkeypatch.setattr(blocks, "LEAST_ROUND_SEC", 1e-4)
