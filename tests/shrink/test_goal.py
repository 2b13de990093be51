"""What is asked of the size, and the widest cut that keeps it."""

from __future__ import annotations

from pathlib import Path

import pytest

from widthwise.cut.checkpoint import resolve_model
from widthwise.errors import TargetError
from widthwise.shrink import Goal
from widthwise.shrink.deployed_file import DeployedFile


@pytest.fixture
def file(saved: Path) -> DeployedFile:
    return DeployedFile(source=resolve_model(saved), gguf=None, dtype=None)


def width(goal: Goal, file: DeployedFile) -> int:
    return goal.specs(file)[0].width(file.architecture).width


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("smaller", "15", "--smaller must look like 15%; got '15'"),
        ("smaller", "0%", "--smaller must look like 15%; got '0%'"),
        ("smaller", "100%", "--smaller must look like 15%; got '100%'"),
        ("max_loss", "2", "--max-loss must look like 2%; got '2'"),
        ("max_loss", "0%", "--max-loss must look like 2%; got '0%'"),
        ("faster", "20%", "--faster must look like 1.2x; got '20%'"),
        ("faster", "1x", "--faster must look like 1.2x; got '1x'"),
        ("remove", "0.2", "--remove must look like 40%"),
        ("size", "much", "--size must look like 1.7GB"),
        ("params", "few", "--params must look like 900M"),
    ],
)
def test_what_is_no_amount_is_refused(kind: str, text: str, said: str) -> None:
    with pytest.raises(TargetError, match=said):
        Goal(kind, text)  # type: ignore[arg-type]


def test_exactly_one_goal_is_taken() -> None:
    assert Goal.of(size="1GB", remove=None) == Goal("size", "1GB")
    with pytest.raises(TargetError, match="exactly one of --remove, --params, --size, --smaller"):
        Goal.of(remove=None)
    with pytest.raises(TargetError, match="got --remove and --size"):
        Goal.of(remove="20%", size="1GB")


def test_bytes_give_the_widest_cut_whose_file_has_them(file: DeployedFile) -> None:
    """Compared with every width in turn."""
    size = file.architecture.intermediate_size
    for most in (file.bytes_at(20), file.bytes_at(20) - 1, file.bytes_at(1)):
        widest = max(w for w in range(1, size) if file.bytes_at(w) <= most)
        assert width(Goal("size", f"{most}B"), file) == widest


def test_a_share_is_of_the_bytes_of_the_files(file: DeployedFile) -> None:
    most = Goal("smaller", "5%").most_bytes(file)
    files = sum(path.stat().st_size for path in file.source.found.glob("*.safetensors"))
    assert most == int(0.95 * files)
    assert Goal("size", "95%").most_bytes(file) == most
    assert Goal("remove", "5%").most_bytes(file) is None


def test_what_no_width_reaches_is_refused_with_the_least(file: DeployedFile) -> None:
    least = file.bytes_at(1)
    with pytest.raises(TargetError, match=rf"\({least:,} bytes\) even at width 1 of 53"):
        Goal("size", "10B").specs(file)
    with pytest.raises(TargetError, match="--size 1GB needs no cut: the checkpoint has"):
        Goal("size", "1GB").specs(file)
    with pytest.raises(TargetError, match="even with one neuron in each layer the model has"):
        Goal("params", "10").specs(file)


def test_a_shorter_dtype_may_do_it_without_a_cut(saved: Path) -> None:
    """The model is stored in bfloat16, so that float32 needs twice the bytes."""
    wide = DeployedFile(source=resolve_model(saved), gguf=None, dtype="float32")
    most = wide.dense_bytes * 3 // 2
    with pytest.raises(TargetError, match="needs no cut"):
        Goal("size", f"{most}B").specs(wide)


def test_widths_that_blocks_of_a_type_round_to_one_are_tried_once(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DeployedFile, "alignment", 16)
    file = DeployedFile(source=resolve_model(saved), gguf=None, dtype=None)
    specs = Goal("max_loss", "2%").specs(file)
    widths = [spec.width(file.architecture).width for spec in specs]
    assert widths == [48, 32, 16]
    assert [spec.target.text for spec in specs] == ["5%", "35%", "60%"]
    monkeypatch.setattr(DeployedFile, "alignment", 64)
    with pytest.raises(TargetError, match="of 53 neurons cannot be cut to a multiple of 64"):
        Goal("faster", "2x").specs(file)
