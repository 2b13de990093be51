"""Sentences on a real terminal are broken between words, and nowhere else."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from widthwise.cli import main
from widthwise.cli.prose import broken

COLUMNS = 44
END = "(the end)"


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[str]]]:
    """The lines that a command prints on a terminal of 44 columns."""
    monkeypatch.delenv("COLUMNS", raising=False)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 20, COLUMNS, 0, 0))
    with os.fdopen(theirs, "w", encoding="utf8") as terminal:

        def read(*words: object) -> list[str]:
            streams = redirect_stdout(terminal), redirect_stderr(terminal)
            with streams[0], streams[1], pytest.raises(SystemExit):
                main([str(word) for word in words])
            terminal.write(f"{END}\n")  # what is written arrives piece by piece
            terminal.flush()
            said = b""
            while END.encode() not in said:
                said += os.read(ours, 2**16)
            return said.decode().partition(END)[0].replace("\r", "").splitlines()

        yield read
    os.close(ours)


def words_of(lines: list[str]) -> list[str]:
    return " ".join(lines).split()


def test_a_plan_and_its_notes_are_broken_between_words(saved: Path, on_terminal: Any) -> None:
    asked = ["plan", saved, "--width", "9"]
    whole = run(*asked)
    lines = on_terminal(*asked)
    assert words_of(lines) == words_of((whole.stdout + whole.stderr).splitlines())
    is_path = [os.sep in line for line in lines]  # longer than a line, and left whole
    assert all(len(line) <= COLUMNS or path for line, path in zip(lines, is_path, strict=True))
    got = next(i for i, line in enumerate(lines) if line.startswith("  got    "))
    assert lines[got + 1].startswith(" " * 9 + lines[got + 1].strip()[0])
    assert max(len(line) for line in whole.stdout.splitlines()) > COLUMNS  # of a pipe they stay


@pytest.mark.parametrize("words", [["--width", "99999"], ["--width", "9", "--to", "2x"]])
def test_errors_are_broken_between_words(words: list[str], saved: Path, on_terminal: Any) -> None:
    said = run("plan", saved, *words).stderr.rpartition("Error: ")[2].split()
    lines = on_terminal("plan", saved, *words)
    begin = next(i for i, line in enumerate(lines) if line.startswith("Error: "))
    assert words_of(lines[begin:]) == ["Error:", *said]
    assert max(map(len, lines[begin:])) <= COLUMNS


def test_what_is_no_terminal_gets_lines_as_they_are(tmp_path: Path) -> None:
    text = "  got    " + "word " * 60
    with (tmp_path / "file").open("w") as file:
        assert broken(text, file) == text
