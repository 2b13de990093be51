"""Names of texts: of one, or of several that are mixed by their shares of the tokens."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import RunError

if TYPE_CHECKING:
    from typing import TypeAlias

    from typing_extensions import TypeIs

    NamedText: TypeAlias = "str | Path | Sequence[tuple[str | Path, float]] | None"

EMBEDDED = "embedded"  # what the built-in text is called in a mix
EXAMPLE = f"my-code/:0.7,{EMBEDDED}:0.3"
# A share as it ends the name of a text; a year or another whole number behind a colon is none.
_SHARE = re.compile(r":(?P<share>1|[01]?\.\d+|[01]\.|\d+(\.\d+)?%)\s*(,|$)")


@dataclass(frozen=True)
class TextShare:
    """One text of a mix.

    Attributes:
        name: A file, a folder, or a data set of the hub; None for the embedded text.
        share: Its share of the tokens, above 0 and at most 1.
    """

    name: str | None
    share: float

    def __str__(self) -> str:
        return EMBEDDED if self.name is None else self.name


def is_named(text: object) -> TypeIs[NamedText]:
    """Whether a text is given by name, alone or in a mix, and not as batches of tokens."""
    if text is None or isinstance(text, str | Path):
        return True
    return isinstance(text, list | tuple) and any(isinstance(each, tuple) for each in text)


def texts_of(text: NamedText) -> tuple[TextShare, ...]:
    """The texts that are named, and their shares of the tokens.

    Args:
        text: One name, whose share is 1; or several with shares, as pairs or written
            `my-code/:0.7,embedded:0.3` (also 70%). A path that exists is one, whatever colons and
            commas are in it; so in a mix, where the longest that exists is taken. `embedded` is the
            embedded text unless a file or folder has that name.

    Raises:
        RunError: A text has no share or an impossible one, is named twice, or the shares do not add
            up to 1.
    """
    if text is None:
        return (TextShare(None, 1.0),)
    if isinstance(text, str) and _SHARE.search(text) and not _exists(text):
        pairs = _split(text)
    elif isinstance(text, str | Path):
        pairs = [(str(text), 1.0)]
    else:
        pairs = [_pair(each) for each in text]
    named = tuple(
        TextShare(None if name == EMBEDDED and not _exists(name) else name, share)
        for name, share in pairs
    )
    _check(named)
    return named


def whole_paths(text: str) -> str:
    """A text or a mix by the whole paths of its files, which other working directories share."""
    texts = texts_of(text)
    names = [_whole(str(each)) for each in texts]
    if len(texts) == 1:
        return names[0]
    return ",".join(f"{name}:{each.share:g}" for name, each in zip(names, texts, strict=True))


def apportioned(shares: Sequence[float], total: int) -> list[int]:
    """Whole numbers that add up to a total, each as near to its share as the others allow.

    >>> apportioned([0.7, 0.3], 64)
    [45, 19]
    """
    exact = [share * total / sum(shares) for share in shares]
    counts = [int(each) for each in exact]
    by_rest = sorted(range(len(exact)), key=lambda i: counts[i] - exact[i])
    for i in by_rest[: total - sum(counts)]:
        counts[i] += 1
    return counts


def _exists(name: str) -> bool:
    return os.path.lexists(os.path.expanduser(name))


def split_off(name: str) -> tuple[str, str | None]:
    """A text, and the split of it that is named behind it; a path that exists is a text.

    >>> split_off("data@validation"), split_off("data")
    (('data', 'validation'), ('data', None))
    """
    text, mark, split = name.rpartition("@")
    if not mark or not text or _exists(name) or not re.fullmatch(r"[\w.-]+", split):
        return name, None
    return text, split


def _whole(name: str) -> str:
    """The whole path of a file or folder, with its split; any other name as it is."""
    text, split = split_off(name)
    if not _exists(text):
        return name
    return str(Path(text).expanduser().resolve()) + (f"@{split}" if split else "")


def _split(text: str) -> list[tuple[str, float]]:
    """The names and shares of a mix; a share ends a name, and a path that exists is one."""
    pairs: list[tuple[str, float]] = []
    rest = text
    while rest.strip():
        ends = list(_SHARE.finditer(rest))
        if not ends:
            raise RunError(
                f"{rest.strip()}: has no share; in a mix, each text needs one, as in {EXAMPLE}"
            )
        there = [end for end in ends if _exists(rest[: end.start()].strip())]
        end = there[-1] if there else ends[0]
        share = end["share"]
        value = float(share[:-1]) / 100 if share.endswith("%") else float(share)
        pairs.append((rest[: end.start()].strip(), value))
        rest = rest[end.end() :]
    return pairs


def _pair(given: Any) -> tuple[str, float]:
    """A name and its share, as a program gives them."""
    name, share = given if isinstance(given, tuple) and len(given) == 2 else (None, None)
    is_share = isinstance(share, int | float) and not isinstance(share, bool)
    if not isinstance(name, str | Path) or not is_share:
        raise RunError(
            f"a text of a mix must be a pair of a name and a share, as in ('my-code/', 0.7); got "
            f"{given!r}"
        )
    return str(name), float(share)  # type: ignore[arg-type]


def _check(texts: Sequence[TextShare]) -> None:
    """Raise RunError unless the texts are different, and their shares make a whole."""
    for each in texts:
        if not 0 < each.share <= 1:
            raise RunError(f"{each}: its share must be above 0 and at most 1; got {each.share:g}")
    total = sum(each.share for each in texts)
    if round(total, 2) != 1:
        raise RunError(
            f"the shares of a mix of texts must add up to 1; those of {_listed(texts)} add up to "
            f"{total:g}"
        )
    places = [_whole(str(each)) for each in texts]
    for i, place in enumerate(places):
        for j, other in enumerate(places):
            is_inside = _exists(place) and Path(other) in Path(place).parents
            if i != j and (place == other or is_inside):
                raise RunError(
                    f"{texts[i]}: is in the mix twice, also as {texts[j]}; name each text once"
                )


def _listed(names: Iterable[object]) -> str:
    *others, last = map(str, names)
    return f"{', '.join(others)} and {last}" if others else last
