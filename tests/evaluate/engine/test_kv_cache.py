"""A model's cache, whichever of its two names transformers gives it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from continued import CASES, PROMPTS, alone
from families import tiny, tokens
from sharp import sharp

from widthwise.evaluate.engine import Prompt, cache_of, cache_use, generate, given


class Newer:
    def forward(self, input_ids: Any, cache: Any = None, past_key_values: Any = None) -> None: ...


class Older:
    def forward(self, input_ids: Any, past_key_values: Any = None) -> None: ...


class Wrapped:
    def forward(self, *args: Any, **kwargs: Any) -> None: ...


def test_the_newer_name_goes_first() -> None:
    found = [next(iter(given(kind(), 1))) for kind in (Newer, Older, Wrapped)]
    assert found == ["cache", "past_key_values", "past_key_values"]
    assert cache_of(SimpleNamespace(cache=1, past_key_values=2)) == 1
    assert cache_of(SimpleNamespace(past_key_values=2)) == 2


def test_a_real_model_goes_on_with_its_cache() -> None:
    """As if it had read all at once; the same sums in another order, so to float32's accuracy."""
    model, ids = tiny("llama"), tokens()
    with torch.inference_mode():
        cache = cache_of(model(ids[:, :7], use_cache=True))
        rest = model(ids[:, 7:], **given(model, cache)).logits
        torch.testing.assert_close(rest, model(ids).logits[:, 7:], rtol=1e-5, atol=1e-5)


def test_rows_of_every_family_may_be_joined_but_of_one_that_attends_in_chunks() -> None:
    assert {cache_use(sharp(family, **changes)) for family, changes in CASES} == {"joined"}
    model = sharp("llama")
    model.config.attention_chunk_size = 8
    assert cache_use(model) != "joined"


def test_the_cache_grows_past_its_first_room() -> None:
    """Room is made 64 tokens at a time: 130 tokens need it twice."""
    model = sharp("llama", max_position_embeddings=256)
    written = alone(model, PROMPTS[:3], limit=130)
    asked = [Prompt(tokens=prompt, limit=130) for prompt in PROMPTS[:3]]
    got = generate(model, asked, frozenset(), rows=2)
    assert [list(text.tokens) for text in got] == written
