"""Figures of commands: written whole, and not over another."""

from __future__ import annotations

from pathlib import Path

from command_line import run


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
