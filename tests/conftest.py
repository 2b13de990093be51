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

from families import tiny


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
