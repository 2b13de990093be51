"""A hub of models on this machine: what huggingface_hub's client asks for, out of a folder."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "a" * 40


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a hub whose every model is the folder, and the names of files as it sends
    them."""
    sent: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            path = unquote(urlsplit(self.path).path)
            if "/tree/" in path:
                self.send(json.dumps(list(map(entry, files(folder)))).encode(), with_body=with_body)
            elif path.startswith("/api/"):
                self.send(json.dumps({"id": "some/model", "sha": COMMIT}).encode(), with_body=True)
            elif (file := folder / path.partition(f"/resolve/{COMMIT}/")[2]).is_file():
                self.send(file.read_bytes(), with_body=with_body)
                if with_body:
                    sent.append(file.relative_to(folder).as_posix())
            else:
                self.send_error(404)

        def send(self, body: bytes, *, with_body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("ETag", f'"{hashlib.sha1(body).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    def entry(file: Path) -> dict[str, object]:
        return {
            "type": "file",
            "path": file.relative_to(folder).as_posix(),
            "size": file.stat().st_size,
            "oid": hashlib.sha1(file.read_bytes()).hexdigest(),
        }

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", sent
    finally:
        server.shutdown()
        server.server_close()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
