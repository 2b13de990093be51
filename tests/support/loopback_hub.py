"""A hub of models on this machine: what huggingface_hub's client asks for, out of a folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from loopback_server import Handler, listening

COMMIT = "a" * 40


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub whose every model is the folder, and the names of files as it sends
    them."""
    sent: list[str] = []

    class Hub(Handler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if "/tree/" in path:
                self.answer(json.dumps([_entry(file, folder) for file in files(folder)]).encode())
            elif path.startswith("/api/"):
                self.answer(json.dumps({"id": "some/model", "sha": COMMIT}).encode())
            elif (file := folder / path.partition(f"/resolve/{COMMIT}/")[2]).is_file():
                self.answer(file.read_bytes())
                if self.command == "GET":
                    sent.append(file.relative_to(folder).as_posix())
            else:
                self.send_error(404)

        def answer(self, body: bytes) -> None:
            tag = hashlib.sha1(body).hexdigest()
            self.send(body, {"ETag": f'"{tag}"', "X-Repo-Commit": COMMIT})

    with listening(Hub) as address:
        yield address, sent


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _entry(file: Path, folder: Path) -> dict[str, object]:
    """What a hub lists of a file."""
    return {
        "type": "file",
        "path": file.relative_to(folder).as_posix(),
        "size": file.stat().st_size,
        "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
    }
