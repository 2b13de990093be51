"""How numbers, intervals and names are written."""

import pytest

from widthwise.stats import Estimate, estimate_text, fixed, joined, number, with_ends, with_error


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.41249, "accuracy", "0.412"),
        (0.0001, "accuracy", "0.000"),
        (0.0, "accuracy", "0"),
        (0.0001, "brier_score", "1.0e-04"),
        (4.51689, "bits_per_byte", "4.517"),
        (20.694, "perplexity", "20.69"),
        (294.149, "word_perplexity", "294.1"),
        (2941.4, "word_perplexity", "2,941"),
        (-97_123.4, "word_perplexity", "-97,123"),
        (3.14e7, "word_perplexity", "3.1e+07"),
        (2.5e30, "perplexity", "2.5e+30"),
        (float("inf"), "perplexity", "inf"),
        (950.0, "bytes", "950 B"),
    ],
)
def test_numbers_are_short_at_every_size(value: float, unit: str, text: str) -> None:
    assert number(value, unit) == text


@pytest.mark.parametrize(
    ("value", "error", "unit", "text"),
    [
        (0.4125, 0.0492, "accuracy", "0.412 ± 0.049"),
        (0.0, 0.0, "accuracy", "0 ± 0"),
        (2941.4, 312.4, "perplexity", "2,941 ± 312"),
        (20.694, 0.1234, "perplexity", "20.69 ± 0.12"),
        (20.694, 2e6, "perplexity", "20.69 ± 2.0e+06"),
        (3.14e7, 6787.0, "perplexity", "3.1e+07 ± 6.8e+03"),
        (402.3, 1.26, "tokens_per_sec", "402 ± 1"),
        (402.3, None, "tokens_per_sec", "402"),
    ],
)
def test_an_error_has_the_decimals_of_its_value(
    value: float, error: float | None, unit: str, text: str
) -> None:
    assert with_error(Estimate(value=value, standard_error=error, n=9), unit) == text


def test_a_time_with_its_error_has_one_unit() -> None:
    assert with_error(Estimate(value=0.02134, standard_error=0.000218, n=9), "sec") == (
        "21.34 ± 0.22 ms"
    )
    assert with_error(Estimate(value=25.0, standard_error=0.5, n=9), "sec") == "25,000 ± 500 ms"


def test_an_interval_is_left_out_where_no_error_is_known() -> None:
    assert estimate_text(Estimate(value=0.5, standard_error=None, n=1), scale=100) == "50.00"
    assert with_ends(0.5, 0.4, 0.6, decimals=1, scale=100) == "50.0 [40.0, 60.0]"


def test_what_rounds_to_nothing_has_no_sign() -> None:
    assert [fixed(x, 1, sign=True) for x in (-0.04, 0.0, 0.04, 0.06)] == ["0.0"] * 3 + ["+0.1"]


def test_long_lists_end_in_how_many_more_there_are() -> None:
    assert joined([]) == ""
    assert joined(["a"]) == "a"
    assert joined(list("abcdefg")) == "a, b, c, d and 3 more"
