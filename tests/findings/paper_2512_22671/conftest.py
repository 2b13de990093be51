"""The published findings, built once."""

from __future__ import annotations

import pytest

from widthwise.findings import Findings
from widthwise.findings.paper_2512_22671 import published


@pytest.fixture(scope="session")
def published_findings() -> dict[str, Findings]:
    return {findings.model: findings for findings in published()}


@pytest.fixture(scope="session")
def rows(published_findings: dict[str, Findings]) -> dict[str, tuple[str, ...]]:
    claims = published_findings["The headline claims of arXiv 2512.22671"]
    return {row[0]: row[1:] for table in claims.tables for row in table.rows}
