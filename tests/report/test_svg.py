"""A figure as an element and as a file."""

import base64
from xml.etree import ElementTree

from drawn_axes import of

from widthwise.report import (
    plot_quality,
    standalone_svg_uri,
    to_svg,
)
from widthwise.report.svg import HEIGHT, panel


def test_a_figure_is_a_file_of_its_own() -> None:
    figure, ax = panel()
    plot_quality(of("piqa"), ax)
    svg = to_svg(figure, name="x", title="a <title>", description="0.12345 in words")
    assert "var(--ink)" in svg
    assert "0.12345 in words" in svg
    assert "0.500" in svg  # the floor; only places lose digits
    kind, _, data = standalone_svg_uri(svg, [("●", "#0072b2", "a & b")]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    root = ElementTree.fromstring(base64.b64decode(data))
    text = "".join(root.itertext())
    assert "a & b" in text
    assert "piqa" in text
    assert b"var(" not in base64.b64decode(data)
    assert root.get("viewBox", "").endswith(str(HEIGHT + 16))
