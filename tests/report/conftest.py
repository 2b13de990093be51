"""The page of a whole study, written once."""

from __future__ import annotations

import pytest
from html_page import write
from report_records import make_records


@pytest.fixture(scope="session")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write(tmp_path_factory.mktemp("page") / "report.html", make_records())
