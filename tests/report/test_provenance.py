"""How settings of records are written."""

from dataclasses import replace

from html_page import some
from report_records import make_records

from widthwise.report.provenance import setting_rows

MADE = make_records()


def test_setting_that_differs_is_said_of_each_quantity() -> None:
    halved = [replace(r, settings={"budget": len(r.quantity)}) for r in some("mmlu", "boolq")]
    assert dict(setting_rows(halved, {})) == {"budget": "4 (mmlu); 5 (boolq)"}


def test_setting_left_open_is_what_the_records_say() -> None:
    many = [
        replace(r, settings={"dtype": "bfloat16", "rounds": [i] * 30}) for i, r in enumerate(MADE)
    ]
    rows = dict(
        setting_rows(many, {"dtype": None, "limit": None, "items_asked": 100, "limits": {}})
    )
    assert rows == {
        "dtype": "bfloat16",
        "limit": "not set",
        "limits": "not set",
        "items asked": "100",
        "rounds": f"{len(MADE)} values, in the records",
    }
