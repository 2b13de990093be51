"""What is drawn on axes, and the records that it is drawn of."""

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from report_records import make_records

from widthwise.study import Record


def of(quantity: str) -> list[Record]:
    return [r for r in make_records() if r.quantity == quantity]


def line(ax: Axes, gid: str) -> list[float]:
    (found,) = [artist for artist in ax.lines if artist.get_gid() == gid]
    return [float(y) for y in found.get_ydata()]


def bars(ax: Axes) -> dict[str, list[tuple[float, float]]]:
    """Lower and upper ends of the interval of every point, by label."""
    return {
        c.get_label(): [(s[0][1], s[1][1]) for s in c.lines[2][0].get_segments()]
        for c in ax.containers
        if isinstance(c, ErrorbarContainer)
    }
