"""`widthwise heal`: what no healing allows is refused before any work."""

from __future__ import annotations

from pathlib import Path

import pytest
from healing_runs import run

pytestmark = pytest.mark.usefixtures("short_blocks")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokens", "many"], "'many' is not a number of tokens such as 500000 or 1M"),
        (["--minutes", "0"], "0.0 is not in the range x>0"),
        (["--lora", "0"], "0 is not in the range x>=1"),
    ],
)
def test_what_cannot_be_is_a_usage_error(options: list[str], message: str, tmp_path: Path) -> None:
    result = run("heal", "child", "--dense", "smollm2", *options, "-o", tmp_path / "out")
    assert result.exit_code == 2
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--tokens", "999999999999b", "tokens of a healing must be a whole number from 1 to 1,0"),
        ("--batch-tokens", "999999999999b", "batch_tokens of a healing must be a whole number"),
        ("--micro-tokens", "99999999999m", "micro_tokens of a healing must be a whole number"),
        ("--lora", "9" * 30, "lora of a healing must be a whole number from 1 to 65,536"),
        ("--minutes", "1e300", "minutes of a healing must be a number above 0, at most 5,256,000"),
    ],
)
def test_huge_numbers_are_one_sentence_before_any_work(
    option: str, value: str, said: str, tmp_path: Path
) -> None:
    result = run("heal", "child", "--dense", "smollm2", option, value, "-o", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
