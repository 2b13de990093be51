"""A Python package index on this machine, whose packages carry the parts of a file."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from loopback_server import Handler, listening

from widthwise.assets import NamedModel


def split_into_wheels(file: Path, model: NamedModel, folder: Path) -> list[Path]:
    """Write the packages of a model: its file in as many parts as they are, all but the last
    equally long."""
    data = file.read_bytes()
    step = -(-len(data) // model.parts)
    wheels = []
    folder.mkdir()
    for number in range(1, model.parts + 1):
        wheel = model.wheel(number)
        info = f"{wheel.module}-{wheel.version}.dist-info"
        path = folder / wheel.file
        with zipfile.ZipFile(path, "w") as archive:
            part = data[(number - 1) * step : number * step]
            archive.writestr(f"{wheel.module}/data/part{number:02}.bin", part)
            metadata = f"Metadata-Version: 2.1\nName: {wheel.package}\nVersion: {wheel.version}\n"
            archive.writestr(f"{info}/METADATA", metadata)
            kind = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            archive.writestr(f"{info}/WHEEL", kind)
            archive.writestr(f"{info}/RECORD", "")
        wheels.append(path)
    return wheels


@contextmanager
def served(wheels: Sequence[Path]) -> Iterator[tuple[str, list[str]]]:
    """The address of an index of these wheels, and the names of those that it has sent."""
    sent: list[str] = []

    class Index(Handler):
        def do_GET(self) -> None:
            name = self.path.rstrip("/").rpartition("/")[2]
            found = [path for path in wheels if path.is_file()]
            if file := next((path for path in found if path.name == name), None):
                sent.append(name)
                self.send(file.read_bytes(), {"Content-Type": "application/zip"})
                return
            links = [
                f'<a href="/files/{path.name}#sha256={_sha256(path)}">{path.name}</a>'
                for path in found
                if path.name.split("-")[0].replace("_", "-") == name
            ]
            if links:
                page = f"<html><body>{''.join(links)}</body></html>"
                self.send(page.encode(), {"Content-Type": "text/html"})
            else:
                self.send_error(404)

    with listening(Index) as address:
        yield f"{address}/simple", sent


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
