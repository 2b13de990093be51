"""What a page of runs shows, and what pages of all kinds have in common."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import hypot
from typing import TYPE_CHECKING, Any

from ..stats import Estimate, estimate_text, joined, mean_with_error, t_p_value, with_ends
from .html_table import HtmlTable, text_table
from .provenance import format_value, join_values

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_FEW = 6  # seeds that are still listed one by one
Settings = Mapping[str, Any]
ONE_SEED = (
    "There is one seed: how far another start and another order of the data would have led is not "
    "known, and no interval here holds it."
)


@dataclass(frozen=True, kw_only=True)
class TableSection:
    """A table of the page, with notes below it."""

    title: str
    table: HtmlTable
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class ExperimentPage:
    """All that a page of runs shows.

    Attributes:
        kind: The command that made the runs.
        title: Heading.
        byline: What was run, in a line.
        answer: What may be said, in few sentences.
        left_out: What is not drawn, and why.
        figure: Drawn by the same function as the command's own; None where nothing can be drawn.
        caption: Under the figure.
        parts: Tables.
        n_open: How many of them are seen at once.
        failed: What failed runs are called, and the reason of each.
        method: How it was measured, in sentences.
        settings: Name and value of each.
        unknown: What the runs do not say.
    """

    kind: str
    title: str
    byline: str
    answer: tuple[str, ...]
    left_out: tuple[str, ...]
    figure: Figure | None
    caption: str
    parts: tuple[TableSection, ...]
    n_open: int = 1
    failed: tuple[tuple[str, str], ...]
    method: tuple[str, ...]
    settings: tuple[tuple[str, str], ...]
    unknown: tuple[str, ...]


def table_section(
    title: str,
    about: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    notes: Iterable[str] = (),
) -> TableSection:
    """A table of texts under a title; cells that begin with a number are sorted by it."""
    name = title.lower().replace(" ", "-")
    return TableSection(
        title=title, table=text_table(name, about, header, rows), notes=tuple(notes)
    )


def settings_conflicts(asked: Sequence[Settings]) -> list[str]:
    """For each run the settings in which it differs from the last ones, `""` where in none.

    Args:
        asked: What must be the same of all runs that are set side by side, in the order of the
            file; a setting that a run does not have is not compared.
    """
    last: dict[str, Any] = {}
    found = []
    for settings in reversed(asked):
        odd = [name for name, value in settings.items() if last.get(name, value) != value]
        if not odd:
            last = {**settings, **last}
        found.append(", ".join(name.replace("_", " ") for name in odd))
    return found[::-1]


def excluded_runs(conflicts: Sequence[str]) -> tuple[str, ...]:
    """One sentence of all runs that are not set beside the others."""
    odd = [one for one in conflicts if one]
    if not odd:
        return ()
    names = ", ".join(dict.fromkeys(", ".join(odd).split(", ")))
    are = "run was" if len(odd) == 1 else "runs were"
    return (f"{len(odd)} {are} made with another {names} than the last ones, and left out here.",)


def setting_rows(
    kept: Sequence[tuple[str, Settings]], *, skip: Iterable[str] = ()
) -> tuple[tuple[str, str], ...]:
    """Name and value of every setting of runs; where it differs, with the runs that have it.

    Args:
        kept: What each run is called, and its settings.
        skip: Settings that tables show.
    """
    hidden = set(skip)
    found: dict[str, dict[str, list[str]]] = {}
    for label, settings in kept:
        for name, value in settings.items():
            if name not in hidden:
                places = found.setdefault(name, {}).setdefault(format_value(value), [])
                if label not in places:
                    places.append(label)
    names = {"widthwise": "version of widthwise", "data": "sha256 of the data"}
    return tuple(
        (names.get(name, name.replace("_", " ")), join_values(values))
        for name, values in found.items()
    )


def seed_row(seeds: Iterable[int]) -> tuple[str, str]:
    """Which seeds there are.

    >>> seed_row([1, 0, 1]), seed_row(range(10))
    (('seeds', '0, 1'), ('seeds', '10, from 0 to 9'))
    """
    found = sorted(set(seeds))
    if len(found) > _FEW:
        return "seeds", f"{len(found)}, from {found[0]} to {found[-1]}"
    return "seeds", ", ".join(map(str, found))


def format_shares(values: Mapping[str, Estimate | tuple[float, float, float]]) -> str:
    """Shares in words: `55.1 % at width 2 [54.3, 55.9] and 66.8 % of the limit [66.1, 67.5]`.

    Args:
        values: By what networks are called: an estimate, or a value with the ends of its interval.

    >>> format_shares({"width 2": (0.5, 0.4, 0.6), "limit": (0.625, 0.6, 0.65)})
    '50.0 % at width 2 [40.0, 60.0] and 62.5 % by the limit [60.0, 65.0]'
    """
    parts = []
    for name, one in values.items():
        if isinstance(one, Estimate):
            text = estimate_text(one, places=1, scale=100)
        else:
            text = with_ends(*one, places=1, scale=100)
        share, _, interval = text.partition(" ")
        place = f"at {name}" if name.startswith("width ") else f"by the {name}"
        parts.append(f"{share} % {place} {interval}".rstrip())
    return joined_networks(parts)


def difference_sentence(words: Mapping[str, str]) -> str:
    """Which networks are shown to be below the limit or above it; empty without any word.

    >>> difference_sentence({"width 2": "below", "width 8": "no difference shown"})
    'Shown below the limit: width 2; no difference from it is shown for width 8.'
    """
    told = {"below": "shown below the limit: ", "above": "shown above the limit: "}
    told["no difference shown"] = "no difference from it is shown for "
    parts = [
        text + joined_networks(names)
        for word, text in told.items()
        if (names := [label for label, own in words.items() if own == word])
    ]
    if not parts:
        return ""
    said = "; ".join(parts)
    if said.startswith("no "):
        said = said.replace("from it", "from the limit", 1)
    return f"{said[0].upper()}{said[1:]}."


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """A network less the one that it is set beside.

    Attributes:
        value, low, high: The difference and its 95 % interval.
        p_value: For "there is none".
    """

    value: float
    low: float
    high: float
    p_value: float


def paired_differences(
    ours: Mapping[int, Estimate], theirs: Mapping[int, Estimate]
) -> PairedDifference | None:
    """The difference of two networks by seed.

    Of two seeds and more their differences are paired, as all networks of a seed meet the same
    tasks; of a single one both errors are added, which takes the tasks as others and is wide. None
    where no seed has both, or there is no error.
    """
    seeds = sorted(set(ours) & set(theirs))
    if len(seeds) > 1:
        mean = mean_with_error([ours[seed].value - theirs[seed].value for seed in seeds])
        if not mean.standard_error:
            return None
        low, high = mean.interval()
        p_value = t_p_value(mean.value, mean.standard_error, mean.n - 1)
        return PairedDifference(value=mean.value, low=low, high=high, p_value=p_value)
    if not seeds:
        return None
    one, other = ours[seeds[0]], theirs[seeds[0]]
    if one.standard_error is None or other.standard_error is None:
        return None
    error = hypot(one.standard_error, other.standard_error)
    whole = Estimate(value=one.value - other.value, standard_error=error, n=one.n)
    low, high = whole.interval()
    p_value = t_p_value(whole.value, error, whole.n - 1) if error else 1.0
    return PairedDifference(value=whole.value, low=low, high=high, p_value=p_value)


def verdicts(besides: Mapping[str, PairedDifference | None]) -> dict[str, str]:
    """`above`, `below`, or that no difference is shown, with Holm's method over all of them."""
    from ..stats import holm

    known = {name: one for name, one in besides.items() if one is not None}
    adjusted = dict(zip(known, holm([one.p_value for one in known.values()]), strict=True))
    return {name: _word(one, adjusted[name]) for name, one in known.items()}


def _word(one: PairedDifference, p_value: float) -> str:
    if p_value > 0.05 or one.low <= 0 <= one.high:
        return "no difference shown"
    return "above" if one.value > 0 else "below"


def points(one: PairedDifference | None) -> str:
    """A difference of shares in points, with its interval.

    >>> points(PairedDifference(value=-0.02, low=-0.03, high=-0.01, p_value=0.001))
    '-2.00 [-3.00, -1.00]'
    """
    if one is None:
        return "-"
    return with_ends(one.value, one.low, one.high, scale=100, sign=True)


def joined_networks(names: Sequence[str]) -> str:
    """All names in a sentence; `width` is said once.

    >>> joined_networks(["width 2", "width 8", "ReLU GP"]), joined_networks(["limit"])
    ('width 2, 8 and ReLU GP', 'limit')
    """
    short = [name.removeprefix("width ") for name in names[1:]]
    return joined([*names[:1], *short], most=len(names))
