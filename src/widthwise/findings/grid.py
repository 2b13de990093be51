"""Records in rows and columns: a network a row, a quantity a column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ..errors import RunError
from ..stats import Estimate, Positive, Share, Stopped, is_perplexity
from ..study import Record, is_control
from .origin import Origin, origin_in

SIZE_UNITS = ("count", "bytes")
_NO_BOUND = ("bits_per_byte", "nats")  # units of scores that may be larger than 1
COST_UNITS = (*SIZE_UNITS, "tokens_per_sec", "sec", "joules_per_token", "grams_per_token")


@dataclass(frozen=True, kw_only=True)
class GridRow:
    """The dense model (criterion None), or what is left of it at one width.

    Attributes:
        criterion: How neurons were chosen; None for dense.
        asked: The width as asked for.
        width: Neurons a layer, by which networks of one criterion are told apart.
        expansion_ratio: width / hidden size, as got.
        decimals: Those that its ratio is written with, so that other widths of the grid read
            otherwise.
        whole: What a table calls it where it has no criterion.
    """

    criterion: str | None
    asked: str
    width: int
    expansion_ratio: float
    decimals: int = field(default=2, compare=False)
    whole: str = field(default="dense", compare=False)

    @property
    def shown(self) -> str:
        """What a table calls the way that it was cut."""
        return self.criterion or self.whole

    @property
    def asked_for(self) -> str:
        """The width as asked for; a checkpoint that was cut before is taken as it is stored."""
        return "as stored" if self.criterion is None and self.whole != "dense" else self.asked

    @property
    def label(self) -> str:
        """`"dense"`, or the criterion and the ratio as got: `"ppm 2.39x"`."""
        return "dense" if self.criterion is None else f"{self.criterion} {self.ratio}"

    @property
    def named(self) -> str:
        """The label; of a checkpoint that was cut before, what a table calls it."""
        return self.whole if self.criterion is None else self.label

    @property
    def ratio(self) -> str:
        return f"{self.expansion_ratio:.{self.decimals}f}x"


@dataclass(frozen=True, kw_only=True, eq=False)
class Grid:
    """All records of one model; two grids are equal if they are the same one.

    Attributes:
        model: Name of the dense parent.
        networks: Dense first, then by criterion (the control and its draws last), widest first.
        quantities: In the order in which records first name them.
        cells: Not every network needs every quantity.
    """

    model: str
    networks: tuple[GridRow, ...] = ()
    quantities: tuple[str, ...] = ()
    cells: Mapping[tuple[GridRow, str], Record] = field(default_factory=dict)

    @property
    def dense(self) -> GridRow | None:
        return next((n for n in self.networks if n.criterion is None), None)

    def of_dense(self, quantity: str) -> Record | None:
        """The dense model's record; None where there is none."""
        return self.cells.get((self.dense, quantity)) if self.dense else None

    @property
    def origin(self) -> Origin | None:
        """What the whole network was cut from; None where no file said that it was cut."""
        records = (record for (n, _), record in self.cells.items() if n.criterion is None)
        return next(filter(None, (origin_in(record.settings) for record in records)), None)

    @property
    def subject(self) -> str:
        """What a sentence calls the whole network: dense beside its cuts, but for one that was cut
        itself."""
        if self.origin is not None:
            return f"{self.model} ({self.origin})"
        return f"dense {self.model}" if self.criteria else self.model

    @property
    def criteria(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(n.criterion for n in self.networks if n.criterion is not None))

    @property
    def draws(self) -> tuple[str, ...]:
        """The criteria that are the control, one a seed."""
        return tuple(c for c in self.criteria if is_control(c))

    @property
    def chosen(self) -> tuple[str, ...]:
        """The criteria that are no control, or all of them where there are no others."""
        return tuple(c for c in self.criteria if not is_control(c)) or self.criteria

    @property
    def quality(self) -> tuple[str, ...]:
        """Quantities that say what a network knows."""
        return tuple(q for q in self.quantities if self.column(q)[0].unit not in COST_UNITS)

    @property
    def speeds(self) -> tuple[str, ...]:
        return tuple(q for q in self.quantities if self.column(q)[0].unit == "tokens_per_sec")

    @property
    def sizes(self) -> tuple[str, ...]:
        return tuple(q for q in self.quantities if self.column(q)[0].unit in ("count", "bytes"))

    def cost(self, network: GridRow, quantity: str) -> Record | None:
        """What a network takes: its own record, or that of another cut of the same width.

        Time, memory and energy go by the width, whichever neurons are kept.
        """
        measured = self.cells.get((network, quantity))
        if measured is not None or network.criterion is None:
            return measured
        cuts = (n for n in self.networks if n.criterion is not None and n.width == network.width)
        costs = (self.cells.get((n, quantity)) for n in cuts)
        return next((record for record in costs if record is not None), None)

    @property
    def shares_costs(self) -> bool:
        """Whether some network has a cost from another one of its width."""
        places = ((n, q) for n in self.networks for q in self.quantities if q not in self.quality)
        return any(p not in self.cells and self.cost(*p) is not None for p in places)

    def column(self, quantity: str) -> tuple[Record, ...]:
        records = (self.cells.get((network, quantity)) for network in self.networks)
        return tuple(record for record in records if record is not None)

    def sample(self, quantity: str) -> Record:
        """What all records of a quantity share is read from this one: the first with a value."""
        column = self.column(quantity)
        return next((record for record in column if record.value is not None), column[0])

    def cut_by(self, criterion: str) -> tuple[GridRow, ...]:
        """The networks of one criterion, widest first."""
        return tuple(n for n in self.networks if n.criterion == criterion)

    def of_criteria(
        self, criteria: Sequence[str], quantity: str
    ) -> Iterable[tuple[GridRow, Record]]:
        """The networks of some criteria that have a record of the quantity, and that record."""
        networks = (n for criterion in criteria for n in self.cut_by(criterion))
        return ((n, self.cells[n, quantity]) for n in networks if (n, quantity) in self.cells)


def network_of(record: Record) -> GridRow:
    """The network that a record is of."""
    origin = origin_in(record.settings)
    return GridRow(
        whole="dense" if origin is None else origin.label,
        criterion=record.criterion,
        asked=record.asked,
        width=record.width,
        expansion_ratio=record.expansion_ratio,
    )


def estimate_of(record: Record | None) -> Estimate | None:
    """The record's value with its error and the one interval that it has; None where it is missing.

    Shares of right answers have that of a share, and where one stopped when enough was known, the
    one that holds wherever one stops; perplexities that of their logarithm; all others Student's.
    Of other scores whose items are all the same Student's would be a point, and they have that of a
    share where they are within [0, 1].
    """
    if record is None or record.value is None:
        return None
    value, error, n = record.value, record.standard_error, record.n
    if is_perplexity(record.unit):
        return Positive(value=value, standard_error=error, n=n)
    if not 0 <= value <= 1 or not (record.unit == "accuracy" or _is_level(record)):
        return Estimate(value=value, standard_error=error, n=n)
    if record.settings.get("until") is not None and record.items:
        return Stopped(value=value, standard_error=error, n=n, values=record.items)
    return Share(value=value, standard_error=error, n=n)


def _is_level(record: Record) -> bool:
    """Whether a score, of a metric of which no items beyond [0, 1] are known, is of equal items."""
    if record.unit in (*COST_UNITS, *_NO_BOUND) or record.standard_error != 0:
        return False
    return bool(record.items) and all(0 <= item <= 1 for item in record.items)


def build_grid(records: Sequence[Record]) -> Grid:
    """Rows and columns of the records; a cell that was measured again replaces its first record.

    Raises:
        RunError: No records, records of two models, or two different cells in one place.
    """
    if not records:
        raise RunError("a report needs at least one record; got none, so run the study first")
    models = list(dict.fromkeys(record.model for record in records))
    if len(models) > 1:
        raise RunError(f"a report shows one model; got records of {', '.join(models)}")
    cells: dict[tuple[GridRow, str], Record] = {}
    decimals = _decimals({record.width: record.expansion_ratio for record in records})
    for record in records:
        place = replace(network_of(record), decimals=decimals), record.quantity
        if place in cells and cells[place].cell != record.cell:
            raise RunError(
                f"two different cells measured {record.quantity} of {place[0].label}: "
                f"{cells[place].cell} and {record.cell}; report one study at a time, by its "
                "folder, which knows what it asks for"
            )
        cells[place] = record
    return Grid(
        model=models[0],
        networks=tuple(sorted({network for network, _ in cells}, key=_reading_order)),
        quantities=tuple(dict.fromkeys(record.quantity for record in records)),
        cells=cells,
    )


def _decimals(ratios: Mapping[int, float]) -> int:
    """How many tell the ratio of each width from those of all others; at least 2."""
    enough = (d for d in range(2, 6) if len({f"{x:.{d}f}" for x in ratios.values()}) == len(ratios))
    return next(enough, 6)


def _reading_order(network: GridRow) -> tuple[bool, bool, str, int, str]:
    name = network.criterion or ""
    return bool(name), is_control(name), name, -network.width, network.asked
