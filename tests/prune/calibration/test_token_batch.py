"""What an encoder and its decoder read of the same rows."""

from __future__ import annotations

import pytest
import torch

from widthwise.errors import RunError
from widthwise.prune.calibration.token_batch import TokenBatch

IDS = torch.arange(10, 24).reshape(2, 7)


def test_the_decoder_reads_the_second_half_behind_its_start_token() -> None:
    batch = TokenBatch(input_ids=IDS).divided(1)
    assert batch.input_ids.tolist() == [[10, 11, 12], [17, 18, 19]]
    assert batch.decoder is not None
    assert batch.decoder.input_ids.tolist() == [[1, 13, 14], [1, 20, 21]]
    assert batch.tokens == 6
    assert [*batch.arguments] == ["input_ids", "decoder_input_ids"]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (TokenBatch(input_ids=IDS, attention_mask=(IDS > 12).long()), "padded cannot be divided"),
        (TokenBatch(input_ids=IDS[:, :1]), "of one token cannot be divided"),
    ],
)
def test_rows_that_cannot_be_divided_must_come_with_those_of_the_decoder(
    batch: TokenBatch, message: str
) -> None:
    with pytest.raises(RunError, match=f"must hold decoder_input_ids as well.*{message}"):
        batch.divided(1)


def test_rows_without_padding_may_have_a_mask() -> None:
    batch = TokenBatch(input_ids=IDS, attention_mask=torch.ones_like(IDS))
    assert batch.divided(1).tokens == 6


def test_tokens_are_those_that_are_no_padding_of_the_part_that_has_fewer() -> None:
    mask = torch.ones_like(IDS)
    mask[0, 2:] = mask[1, :1] = 0
    given = {"input_ids": IDS, "decoder_input_ids": IDS, "decoder_attention_mask": mask}
    batch = TokenBatch.of(given)
    assert [len(part.ids) for part in batch.parts] == [14, 8]
    assert batch.tokens == 8
    assert batch.fullest_row().input_ids.tolist() == IDS[1:].tolist()
    assert {name: rows.tolist() for name, rows in batch.arguments.items()} == {
        name: rows.tolist() for name, rows in given.items()
    }
