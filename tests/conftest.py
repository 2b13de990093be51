"""Shared fixtures: quiet libraries, restored global state, an offline hub."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "10000")  # as the command line does
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")

from families import SHAPE, tiny


@pytest.fixture(autouse=True)
def _global_state() -> Iterator[None]:
    """Tests may not leave another default dtype or seed behind."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    dtype, state = torch.get_default_dtype(), torch.get_rng_state()
    yield
    torch.set_default_dtype(dtype)
    torch.set_rng_state(state)


@pytest.fixture
def bench() -> Any:
    """A clock that tests move by hand, and meters that go by it."""
    from power_fakes import Bench

    return Bench()


@pytest.fixture
def llama() -> Any:
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
    """A tiny random Llama in float32 with the embedded model's tokenizer and chat template.

    Weights are drawn wide (0.3, not 0.02), so that a cut changes answers and no two are nearly
    equal. Skips where the embedded model cannot be had.
    """
    import torch
    import transformers as hf

    from widthwise.assets import embedded_model
    from widthwise.errors import AssetError

    try:
        embedded = embedded_model()
    except AssetError as error:
        pytest.skip(f"the embedded model cannot be had: {error}")
    folder: Path = tmp_path_factory.mktemp("speaking") / "tiny"
    shape = {**SHAPE, "vocab_size": 49152, "max_position_embeddings": 2048}
    state = torch.get_rng_state()
    torch.manual_seed(0)
    hf.utils.logging.disable_progress_bar()
    config = hf.LlamaConfig(**shape, initializer_range=0.3)
    hf.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    hf.AutoTokenizer.from_pretrained(embedded).save_pretrained(folder)
    torch.set_rng_state(state)
    return folder
