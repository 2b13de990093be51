"""A bar: the time that is left, lines where there is no terminal, one sentence at Ctrl-C."""

from __future__ import annotations

import click
import pytest
from rich.console import Console

from widthwise.cli import progress_bar as module
from widthwise.cli.interrupts import GOES_ON
from widthwise.cli.progress_bar import Eta, layer_progress, progress_bar


def test_the_time_left_follows_the_pace_of_this_run(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    left = Eta()
    told = []
    for now[0], share in ((0.0, 0.0), (50.0, 0.25), (51.0, 0.254), (110.0, 0.5), (170.0, 0.75)):
        told.append(left(share))
    # what went before the first measurement, and a pace of nearly nothing, are no ground for it
    assert told == ["", "", "", "2 min 00 s left", "1 min 00 s left"]


def test_one_layer_tells_the_most_that_may_be_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [5.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with layer_progress(Console(stderr=True), 4, "refitting") as tell:
        for layer, now[0] in enumerate((205.0, 305.0, 405.0, 505.0)):
            tell(layer)
    lines = capsys.readouterr().err.splitlines()
    # the first layer and the loading took 200 s, and each later layer 100 s
    assert lines[1:3] == [
        "refitting: 1 of 4 layers, up to 10 min 00 s left",
        "refitting: 2 of 4 layers, 3 min 20 s left",
    ]


def test_lines_stand_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar() as bar:
        bar.describe("reading [the] photos")
        bar.update(0.5, "half")
        callbacks = bar.results(lambda result: f"{result} nats")
        callbacks["on_result"]("width 4", 2.5)
        callbacks["on_progress"](1.0, "all")
    assert capsys.readouterr() == ("", "reading [the] photos\nwidth 4: 2.5 nats\n")


def test_a_silent_minute_ends_with_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with progress_bar() as bar:
        bar.tell(0.0, "heal: up to 9 minutes")
        for now[0], share in ((30.0, 0.1), (61.0, 0.2), (100.0, 0.3), (130.0, 0.42), (200.0, 1.0)):
            bar.tell(share, "heal: loss 2.5")
    assert capsys.readouterr().err.splitlines() == [
        "heal: up to 9 minutes",
        "heal: loss 2.5, 20 % done, 4 min 08 s left",
        "heal: loss 2.5, 42 % done, 3 min 01 s left",
    ]


def test_an_interruption_is_one_sentence() -> None:
    with pytest.raises(click.ClickException, match=f"^{GOES_ON}$"), progress_bar():
        raise KeyboardInterrupt
