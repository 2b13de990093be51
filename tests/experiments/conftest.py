"""The pages of all runs that are stored, drawn once."""

from __future__ import annotations

import pytest
from run_pages import RESULTS, page_of

STORED = ("maml", "word2vec", "transfer", "tinynet-search")


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("pages")
    return {name: page_of(RESULTS / name, folder / f"{name}.html") for name in STORED}
