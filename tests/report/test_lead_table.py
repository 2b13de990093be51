"""The first table of a page: what each width saves and loses."""

from __future__ import annotations

import re

from report_records import make_records

from widthwise.report.lead_table import first_table, lead_table
from widthwise.report.model_results import model_results


def test_a_row_a_width_of_one_criterion() -> None:
    kept = ("prose", "piqa", "bytes", "decode")
    made = [r for r in make_records(40) if r.quantity in kept]
    table = lead_table(model_results(made, "m", {}))
    assert table is not None
    assert table.title == "Cut by ppm"
    assert table.header == (
        "cut",
        "bytes",
        "tokens a second",
        "piqa, accuracy",
        "prose, bits per byte",
    )
    assert len(table.rows) == 6
    first = table.rows[0]
    assert first[0] == "2.39x"
    assert re.fullmatch(r"[0-9.]+ MB \(-[0-9.]+ %\)", first[1])
    assert first[2].startswith("x ")
    assert re.fullmatch(r"[+-][0-9.]+ \[[^]]+\]\n[a-z ]+", first[4])


def test_there_is_none_of_a_model_as_it_is_or_of_several_studies() -> None:
    made = [r for r in make_records(40) if r.quantity == "piqa"]
    whole = model_results([r for r in made if r.criterion is None], "m", {})
    assert lead_table(whole) is None
    assert not first_table([whole]).tables
    cut = model_results(made, "m", {})
    assert first_table([cut]).tables
    assert not first_table([cut, cut]).tables
