"""Stored results become what they became: pages part by part, findings, printed tables.

A difference is no fault by itself: look at it, and where it is meant, `python
tests/support/golden_pieces.py` keeps the new ones.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from golden_pieces import DIGESTS, KEPT, digests, texts

from widthwise import make_plan, prune_checkpoint

CUT = "7eba630c3d0cc62bf072e01b53f881ceb70b719992d19fd96047d03d49ce97c3"  # as 41e98b0 wrote it


def test_what_is_printed_of_stored_results_stays_as_it_is() -> None:
    for name, text in texts():
        assert text == (KEPT / f"{name}.txt").read_text(encoding="utf8"), name


def test_pages_and_findings_of_stored_results_stay_as_they_are() -> None:
    kept = DIGESTS.read_text(encoding="utf8").splitlines()
    found = digests().splitlines()
    assert [line for line in found if line not in kept] == []
    assert found == kept


@pytest.mark.demo
def test_a_cut_of_the_embedded_model_has_the_bytes_that_it_had(tmp_path: Path) -> None:
    """By weights alone, which no processor's rounding of sums can change: one number is a copy."""
    plan = make_plan("smollm2", remove="40%", criterion="ppm")
    folder = prune_checkpoint("smollm2", tmp_path / "cut", plan)
    with open(folder / "model.safetensors", "rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == CUT
