"""One shrink of a tiny model, which several tests look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from family_trials import save_words
from shrink_runs import made, quick_runs

from widthwise.shrink import Shrink, ShrinkResult


@pytest.fixture(scope="session")
def all_words(tmp_path_factory: Any) -> Path:
    """A tiny Llama with all words of SmolLM2, which llama.cpp's converter knows."""
    return save_words(
        "llama", tmp_path_factory.mktemp("words") / "tiny", max_position_embeddings=1024
    )


@pytest.fixture(scope="session")
def shrunk(tmp_path_factory: Any, text: Path) -> tuple[ShrinkResult, list[str]]:
    """What came out, and what was said on the way."""
    folder, said = tmp_path_factory.mktemp("shrunk"), []
    with quick_runs():
        settings = made(folder, text)
        result = Shrink(folder / "out", settings, on_told=said.append).run()
    return result, said
