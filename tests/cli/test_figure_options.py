"""Figures of commands: written whole, and not over another."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import run

from widthwise.cli.figure_options import check_writable
from widthwise.errors import OutputError


def test_the_picture_is_written_whole_and_not_over_another(tmp_path: Path) -> None:
    for suffix, start in (("png", b"\x89PNG"), ("svg", b"<?xml")):
        path = tmp_path / f"region.{suffix}"
        assert run("abc", "mup", "-o", path).exit_code == 0
        assert path.read_bytes().startswith(start)
    before = path.read_bytes()
    again = run("abc", "ntp", "-o", path)
    assert (again.exit_code, path.read_bytes()) == (1, before)
    assert "already exists; pass --force" in again.stderr
    assert run("abc", "ntp", "-o", path, "--force").exit_code == 0
    assert path.read_bytes() != before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["region.png", "region.svg"]


def test_what_cannot_be_written_is_known_before_any_work(tmp_path: Path) -> None:
    check_writable(None, force=False)
    check_writable(tmp_path / "new.png", force=False)
    (tmp_path / "old.png").touch()
    check_writable(tmp_path / "old.png", force=True)
    with pytest.raises(OutputError, match=r"old\.png already exists; pass --force"):
        check_writable(tmp_path / "old.png", force=False)
    with pytest.raises(OutputError, match="does not exist; make it first"):
        check_writable(tmp_path / "nowhere" / "new.png", force=True)
