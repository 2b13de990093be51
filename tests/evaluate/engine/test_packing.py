"""A packed row holds its rows, and lets each token see its own row's beginning and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from families import FAMILIES, tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from sharp import sharp

from widthwise.evaluate.engine import longest_in_trees, packing
from widthwise.evaluate.engine.packing import Packed, Rows, mask_of, pack, unpacked

ROWS = st.lists(
    st.tuples(
        st.sampled_from([(), (1,) * 5, (1,) * 5 + (2,) * 6, (1, 2) * 9]),
        st.lists(st.integers(1, 3), min_size=1, max_size=9),
    ).map(lambda parts: (*parts[0], *parts[1])),
    min_size=1,
    max_size=14,
    unique=True,
).map(lambda rows: list(enumerate(sorted(rows))))
WIDTHS = st.integers(4, 40)


@settings(max_examples=300, deadline=None)
@given(ROWS, WIDTHS)
def test_paths_reproduce_every_row(rows: Rows, width: int) -> None:
    packed = pack(rows, width)
    assert sorted(index for row in packed for index in row.paths) == [index for index, _ in rows]
    for row in packed:
        for index, path in row.paths.items():
            assert tuple(row.tokens[place] for place in path) == rows[index][1]
            assert [row.depths[place] for place in path] == list(range(len(path)))
        laid = sorted({place for path in row.paths.values() for place in path})
        assert laid == list(range(len(row.tokens)))  # no token is laid that no row needs


@settings(max_examples=300, deadline=None)
@given(ROWS, WIDTHS)
def test_packed_rows_are_few_and_bounded(rows: Rows, width: int) -> None:
    packed = pack(rows, width)
    sizes = [len(row.tokens) for row in packed]
    assert sizes == sorted(sizes, reverse=True)
    # A tree may be twice what its rows share, which is less than twice its longest row.
    assert sizes[0] <= max(width, 2 * max(len(row) for _, row in rows))
    assert sum(sizes) <= sum(len(row) for _, row in rows)
    fitting = [size for size in sizes if size <= width]
    # Best fit: two rows that fit into one would have been one.
    assert len(fitting) < 2 or fitting[-1] + fitting[-2] > width


@settings(max_examples=200, deadline=None)
@given(ROWS, WIDTHS, st.integers(0, 3))
def test_a_token_sees_the_stem_and_its_own_path(rows: Rows, width: int, stem: int) -> None:
    batch = pack(rows, width)
    mask = mask_of(batch, stem, torch.float32)
    widest = len(batch[0].tokens)
    assert mask.shape == (len(batch), 1, widest, stem + widest)
    assert set(mask.unique().tolist()) <= {0.0, torch.finfo(torch.float32).min}
    for number, row in enumerate(batch):
        seen = [set(torch.nonzero(line == 0).flatten().tolist()) for line in mask[number, 0]]
        for path in row.paths.values():
            for depth, place in enumerate(path):
                expected = {*range(stem), *(stem + above for above in path[: depth + 1])}
                assert seen[place] == expected
        for place in range(len(row.tokens), widest):
            assert seen[place] == {*range(stem), stem + place}


@given(ROWS)
def test_rows_apart_are_as_they_were(rows: Rows) -> None:
    alone = unpacked(rows)
    assert sorted(next(iter(row.paths)) for row in alone) == [index for index, _ in rows]
    assert all(row.is_plain for row in alone)
    assert all(tuple(row.tokens) == rows[next(iter(row.paths))][1] for row in alone)
    sizes = [len(row.tokens) for row in alone]
    assert sizes == sorted(sizes, reverse=True)


def test_options_of_a_question_share_it() -> None:
    question = tuple(range(10, 60))
    rows = [(n, (*question, n, n, n)) for n in range(4)]
    (packed,) = pack(rows)
    assert len(packed.tokens) == len(question) + 4 * 3


def test_a_row_that_begins_another_is_laid_within_it() -> None:
    packed = Packed()
    packed.add(0, (1, 2, 3), None)
    packed.add(1, (1, 2, 3, 4), 0)
    assert packed.tokens == [1, 2, 3, 4]
    assert packed.paths == {0: [0, 1, 2], 1: [0, 1, 2, 3]}


def test_padding_sees_something_even_without_a_stem() -> None:
    """In float16 the lowest number plus a score may be -inf: a row of them all would be NaN."""
    batch = pack([(0, (1,) * 9), (1, (2,) * 4)], width=9)
    assert len(batch) == 2
    scores = mask_of(batch, 0, torch.float16) - 100.0
    assert torch.isfinite(scores.softmax(-1)).all()


def without(model: Any, *names: str) -> Any:
    """A model that does not read these inputs, as one with a layout of its own would."""
    forward = model.forward

    def deaf(*args: Any, **kwargs: Any) -> Any:
        return forward(*args, **{name: kwargs[name] for name in kwargs if name not in names})

    model.forward = deaf
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_honours_the_layout(family: str) -> None:
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        with torch.inference_mode():
            longest = longest_in_trees(sharp(family).to(dtype))
        window = 4096 if family in ("mistral", "gemma2", "gemma3_text", "exaone4") else 1 << 30
        assert longest == window, dtype


@pytest.mark.parametrize("rounding", [64, 1e9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_model_that_ignores_the_layout_is_found_out(
    dtype: torch.dtype, rounding: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In bfloat16 too, where logits are so coarse that wrong ones might pass for rounded."""
    monkeypatch.setattr(packing, "_ROUNDING", rounding)
    with torch.inference_mode():
        for names in (["attention_mask"], ["position_ids"], ["attention_mask", "position_ids"]):
            assert longest_in_trees(without(sharp("llama").to(dtype), *names)) == 0, names


def test_a_model_that_bends_the_layout_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    model = sharp("llama")
    forward = model.forward

    def looking_back(*args: Any, attention_mask: Any = None, **kwargs: Any) -> Any:
        if attention_mask is not None:  # at all that came before, other rows too
            attention_mask = torch.full_like(attention_mask, -1e9).triu(1)
        return forward(*args, attention_mask=attention_mask, **kwargs)

    def halving(*args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        halved = None if position_ids is None else position_ids // 2
        return forward(*args, position_ids=halved, **kwargs)

    with torch.inference_mode():
        model.forward = halving
        assert longest_in_trees(model) == 0
        monkeypatch.setattr(packing, "_ROUNDING", 1e9)  # the logits may be anything
        model.forward = looking_back
        assert longest_in_trees(model) == 0


@pytest.mark.parametrize("error", [TypeError, ValueError, RuntimeError])
def test_a_model_that_refuses_the_layout_is_not_packed(error: type[Exception]) -> None:
    model = tiny("llama")
    forward = model.forward

    def refusing(*args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        if position_ids is not None:
            raise error("no positions here")
        return forward(*args, **kwargs)

    model.forward = refusing
    with torch.inference_mode():
        assert longest_in_trees(model) == 0


def test_a_window_limits_the_rows_that_are_packed() -> None:
    with torch.inference_mode():
        assert longest_in_trees(tiny("mistral", sliding_window=24)) == 24
        assert longest_in_trees(tiny("mistral", sliding_window=8)) == 0
