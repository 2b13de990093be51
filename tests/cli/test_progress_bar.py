"""A bar: the time that is left, lines where there is no terminal, one sentence at Ctrl-C."""

from __future__ import annotations

import click
import pytest

from widthwise.cli import progress_bar as module
from widthwise.cli.interrupts import GOES_ON
from widthwise.cli.progress_bar import Eta, progress_bar


def test_the_time_left_follows_the_pace_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    left = Eta()
    told = []
    for now[0], share in ((0.0, 0.0), (50.0, 0.25), (51.0, 0.254), (110.0, 0.5), (170.0, 0.75)):
        told.append(left(share))
    # what went before the first measurement, and a pace of nearly nothing, are no ground for it
    assert told == ["", "", "", "2 min 00 s left", "1 min 00 s left"]


def test_lines_stand_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as bar:
        bar.describe("reading [the] photos")
        bar.update(0.5, "half")
        callbacks = bar.results(lambda result: f"{result} nats")
        callbacks["on_result"]("width 4", 2.5)
        callbacks["on_progress"](1.0, "all")
    assert capsys.readouterr() == ("", "reading [the] photos\nwidth 4: 2.5 nats\n")


def test_an_interruption_is_one_sentence() -> None:
    with pytest.raises(click.ClickException, match=f"^{GOES_ON}$"), progress_bar():
        raise KeyboardInterrupt
