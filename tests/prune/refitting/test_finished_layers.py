"""A refit that was ended goes on after the layers that are done, and gives the same to the bit."""

from __future__ import annotations

import resource
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from every_family import tiny_model
from layered_models import batches

from widthwise import Refit, refit
from widthwise.errors import OutputError
from widthwise.io import kept_workdir
from widthwise.notices import shown


class Ended(Exception):
    pass


def end_after(layer: int) -> Callable[[int], None]:
    def end(number: int) -> None:
        if number == layer:
            raise Ended

    return end


def same(one: Refit, other: Refit) -> bool:
    pairs = zip(one.down, other.down, strict=True)
    return (
        one.plan == other.plan
        and one.layers == other.layers
        and all(torch.equal(a, b) for a, b in pairs)
    )


def refitted(model: Any, **options: Any) -> Refit:
    return refit(model, align=1, text=batches(), scales=False, **{"width": 20, **options})


def count_moments(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The layers whose moments are summed up from here on."""
    from widthwise.prune.calibration import LayerwiseRunner

    layers: list[int] = []
    whole = LayerwiseRunner.moments

    def moments(self: Any, layer: int, **options: Any) -> Any:
        layers.append(layer)
        return whole(self, layer, **options)

    monkeypatch.setattr(LayerwiseRunner, "moments", moments)
    return layers


@pytest.mark.parametrize("sequential", [True, False])
@pytest.mark.parametrize("family", ["llama", "mixtral"])
def test_a_refit_that_was_ended_goes_on(
    family: str, sequential: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model(family, num_hidden_layers=3)
    whole = refitted(model, sequential=sequential)
    with pytest.raises(Ended):
        refitted(model, sequential=sequential, work=tmp_path, progress=end_after(1))
    layers = count_moments(monkeypatch)
    assert same(refitted(model, sequential=sequential, work=tmp_path), whole)
    assert layers == [2]


def test_layers_of_other_inputs_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_model("llama")
    refitted(model, work=tmp_path)
    layers = count_moments(monkeypatch)
    said: list[str] = []
    with shown(said.append):
        assert same(refitted(model, work=tmp_path, width=24), refitted(model, width=24))
    assert layers == [0, 1, 2, 0, 1, 2]
    assert said == [f"{tmp_path} holds layers of another refit, which are removed."]


def test_a_layer_that_the_disk_does_not_take_loses_none_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file may be of a byte any more, once the first layer is there."""
    model, limits = tiny_model("llama"), resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(_: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))

    try:
        with pytest.raises(
            OutputError, match=r"layer-00001.* not written: .*make room on the disk"
        ):
            refitted(model, work=tmp_path, progress=fill)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [each.name for each in tmp_path.iterdir()] == ["layer-00000.safetensors"]
    layers, said = count_moments(monkeypatch), list[str]()
    with shown(said.append):
        assert same(refitted(model, work=tmp_path), refitted(model))
    assert layers == [1, 2, 0, 1, 2]
    assert said == [f"The first layer is taken from {tmp_path}, as it is done."]


def test_a_half_written_layer_is_made_again(tmp_path: Path) -> None:
    model = tiny_model("llama")
    whole = refitted(model)
    refitted(model, work=tmp_path)
    file = tmp_path / "layer-00001.safetensors"
    file.write_bytes(file.read_bytes()[:-8])
    assert same(refitted(model, work=tmp_path), whole)


def test_a_folder_is_kept_for_the_next_until_all_ends_well(tmp_path: Path) -> None:
    work = tmp_path / "work"
    with suppress(Ended), kept_workdir(work):
        (work / "layer").write_text("done")
        raise Ended
    assert (work / "layer").read_text() == "done"
    with kept_workdir(work):
        again = kept_workdir(work)
        with pytest.raises(OutputError, match="used by another process"):
            again.__enter__()
    assert not work.exists()


def test_a_folder_in_which_nothing_is_done_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(Ended), kept_workdir(tmp_path / "work"):
        raise Ended
    assert not (tmp_path / "work").exists()
