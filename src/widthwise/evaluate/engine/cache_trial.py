"""Tries with a few short texts which uses of a model's cache leave its answers unchanged.

Families keep different things of what they have read, and not all of these can be shared, cut or
joined by rows. What a family is called tells little; what comes out of a short text tells. Each
trial compares logits with those of one pass over each text alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from ...errors import RunError
from ...io import out_of_memory
from .kv_cache import PaddedKVCache, cache_of, given, joinable, repeated
from .lm_head import evaluating, padded, probe_tokens

if TYPE_CHECKING:
    import torch

CacheUse = Literal["joined", "own", "none"]

_ROUNDING = 12  # steps of the dtype, of all logits, by which another order of additions may tell
_LEAST = 1e-4  # the same where layers compute in float32 whatever the dtype (softmax of gemma2)


def check_causal(model: Any) -> None:
    """See that what a model says of a text does not depend on what follows it.

    Raises:
        RunError: It does, so no log-likelihood of it is that of a causal language model.
    """
    words = probe_tokens(model)
    texts = [words[1:13], [*words[1:9], *words[13:17]]]
    with _trying(model):
        first, second = (_alone(model, text)[:8] for text in texts)
    if not _near(first, second):
        raise RunError(
            f"{model.config.model_type} also uses the tokens that come after a token, so it is not "
            "a causal language model and cannot give log-likelihoods of texts; choose a causal "
            "language model"
        )


def can_share(model: Any) -> bool:
    """Whether the cache of a beginning, read once, may be taken up by several rows, and again."""
    with _trying(model):
        return _tried(lambda: _shares(model))


def cache_use(model: Any) -> CacheUse:
    """The use that several texts being written may make of a model's cache.

    Returns: `"joined"`: rows of any length may stand in one cache, padded on the left, and be
        chosen and joined; `"own"`: rows of one length may, from beginning to end; `"none"`: no
        cache gives the logits of whole texts.
    """
    with _trying(model):
        if joinable(model) and _tried(lambda: _joins(model)):
            return "joined"
        return "own" if _tried(lambda: _continues(model)) else "none"


def _shares(model: Any) -> bool:
    words = probe_tokens(model)
    prefix, rests = words[1:10], (words[10:15], words[12:9:-1])
    cache = cache_of(model(_tensor(model, [prefix]), use_cache=True))
    if cache is None:
        return False
    expected = [_alone(model, [*prefix, *rest])[len(prefix) :] for rest in rests]
    ids = padded(rests).to(expected[0].device)
    for _ in range(2):
        argument = given(model, repeated(cache, len(rests)))
        logits = model(ids, use_cache=True, **argument).logits
        rows = [row[: len(alone)] for row, alone in zip(logits, expected, strict=True)]
        if not all(map(_near, rows, expected)):
            return False
    return True


def _joins(model: Any) -> bool:
    """Whether rows that are padded, taken out and joined give the logits of the rows alone."""
    import torch

    words = probe_tokens(model)
    texts = [words[1:12], words[16:7:-1], [*words[4:17], *words[1:3]]]
    alone = [_alone(model, text) for text in texts]
    at = [8, 4, 11]  # tokens that are read of each so far
    beginnings = [text[:count] for text, count in zip(texts, at, strict=True)]

    def is_right(rows: Sequence[int], logits: torch.Tensor) -> bool:
        return all(map(_near, logits, [alone[row][at[row] - 1] for row in rows]))

    def writes(cache: PaddedKVCache, rows: Sequence[int]) -> bool:
        last = _tensor(model, [[texts[row][at[row]]] for row in rows])
        logits = cache.next(model, last, torch.ones_like(last))
        for row in rows:
            at[row] += 1
        return is_right(rows, logits)

    cache, logits = PaddedKVCache.of(model, beginnings[:2])
    _, filled = PaddedKVCache.of(model, beginnings[:2], filler=words[16])
    if not torch.equal(filled, logits):  # what stands in the padding tells, if only a little
        return False
    if not (is_right([0, 1], logits) and writes(cache, [0, 1])):
        return False
    cache = cache.chosen([1])
    if not writes(cache, [1]):
        return False
    cache = cache.joined(PaddedKVCache.of(model, beginnings[2:])[0])
    return writes(cache, [1, 2]) and writes(cache, [1, 2])


def _continues(model: Any) -> bool:
    """Whether rows of one length, each token after the other, give the logits of the rows alone."""
    words = probe_tokens(model)
    texts = [words[1:12], words[12:1:-1]]
    alone = [_alone(model, text) for text in texts]
    cache: Any = None
    for start, stop in ((0, 7), (7, 8), (8, 9), (9, 10)):
        ids = _tensor(model, [text[start:stop] for text in texts])
        argument = given(model, cache) if start else {}
        out = model(ids, use_cache=True, logits_to_keep=1, **argument)
        cache = cache_of(out)
        if cache is None:
            return False
        expected = [logits[stop - 1] for logits in alone]
        if not all(map(_near, out.logits[:, -1], expected)):
            return False
    return True


@contextmanager
def _trying(model: Any) -> Iterator[None]:
    """As `evaluating`, for a trial."""
    import torch

    try:
        with evaluating(model), torch.inference_mode():
            yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        raise RunError("a few short texts do not fit into memory; take a smaller model") from error


def _tried(trial: Callable[[], bool]) -> bool:
    """Result of a trial; False where a model cannot even be called so.

    Errors are of many kinds, by what a cache lacks; the answer to all of them is to do without.
    """
    try:
        return trial()
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError) as error:
        if out_of_memory(error):
            raise
        return False


def _tensor(model: Any, rows: Sequence[Sequence[int]]) -> torch.Tensor:
    import torch

    return torch.tensor(list(rows), device=next(model.parameters()).device)


def _alone(model: Any, text: Sequence[int]) -> torch.Tensor:
    """Logits of one text in a separate pass, shape (tokens, vocabulary)."""
    logits: torch.Tensor = model(_tensor(model, [text]), use_cache=False).logits[0]
    return logits


def _near(logits: torch.Tensor, expected: torch.Tensor) -> bool:
    """Whether logits are those expected but for rounding, and not finite in the same places."""
    import torch

    near = max(_LEAST, _ROUNDING * torch.finfo(expected.dtype).eps)
    finite = expected.isfinite()
    if not torch.equal(logits.isfinite(), finite):
        return False
    logits, expected = logits[finite].double(), expected[finite].double()
    return bool((logits - expected).norm() <= near * expected.norm())
