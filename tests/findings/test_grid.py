"""Networks in rows: their order, their labels, and records that are refused."""

from dataclasses import replace

import pytest
from findings_records import draws, findings_of, right, study
from report_records import make_records, record, score

from widthwise.errors import RunError
from widthwise.findings import build_grid
from widthwise.report import network_rows
from widthwise.study import Record

PLACES = ((None, "dense", 1536), ("ppm", "1.6x", 912), ("random", "1.6x", 912))


def test_draws_come_after_all_criteria() -> None:
    vow = [replace(r, criterion="vow", cell="vow") for r in study((180, 150))[1:]]
    grid = build_grid([*draws(120, 100), *vow, *study((180, 150))])
    assert grid.criteria == ("ppm", "vow", "random", "random~7")
    assert grid.draws == ("random", "random~7")


def test_two_networks_of_nearly_one_width_are_two() -> None:
    """1026 and 1024 of 512 are both 2.00x: labels have as many digits as tell them apart."""
    widths = (2048, 1026, 1024, 600)
    records = []
    for task, counts in (("piqa", (180, 150, 120, 140)), ("arc", (170, 120, 130, 100))):
        for width, count in zip(widths, counts, strict=True):
            at = (None, "dense", width) if width == 2048 else ("ppm", str(width), width)
            made = score(at, task, right(count, 200))
            records.append(replace(made, expansion_ratio=width / 512))
    for width in widths:
        at = (None, "dense", width) if width == 2048 else ("ppm", str(width), width)
        records.append(
            replace(record(at, "bytes", "bytes", 1e6 * width, n=1), expansion_ratio=width / 512)
        )
    found = findings_of(records)
    (pair,) = found.correlations
    assert pair.correlation.n == 4
    assert pair.without_dense.n == 3
    labels = [point.label for point in found.curves[0].points]
    assert labels == ["dense", "ppm 2.004x", "ppm 2.000x", "ppm 1.172x"]
    (table,) = [t for t in found.tables if t.title == "Quality against cost"]
    assert [row[0] for row in table.rows] == labels


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([], "at least one record; got none"),
        ([replace(r, model=name) for r in make_records()[:1] for name in "ab"], "records of a, b"),
        ([replace(r, cell=c) for r in make_records()[:1] for c in "ab"], "two different cells"),
    ],
)
def test_records_that_do_not_belong_together_are_refused(
    records: list[Record], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        network_rows(records)


def test_networks_of_one_width_share_a_speed() -> None:
    """Dense does not: a criterion that removes nothing is no other network."""
    records = [record(place, "bytes", "bytes", 1e8) for place in PLACES]
    assert not build_grid(records).shares_costs
    records.append(record(PLACES[1], "decode", "tokens_per_sec", 15.0, n=5))
    grid = build_grid(records)
    assert grid.shares_costs
    by_label = {network.label: grid.cost(network, "decode") for network in grid.networks}
    assert by_label == {"dense": None, "ppm 1.58x": records[-1], "random 1.58x": records[-1]}
    assert [row[-1] for row in network_rows(records)[1]][1:] == ["15", "15"]
