"""Pages in headless Chromium: a script is run in the page, and what it says is read back."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def chromium() -> str:
    """The browser; the test is skipped where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium on this machine")
    return found


def say(page: Path, script: str, *, width: int = 1280) -> tuple[Any, list[str]]:
    """What `script` returns when it is run in the page, and the lines of the console.

    Args:
        page: The HTML file; a copy of it with the script at its end is opened.
        script: The body of a function; its value is passed on as JSON.
        width: Of the page, by a frame of that width.
    """
    ask = (
        "<script>addEventListener('load', () => {"
        "const said = document.createElement('pre'); said.id = 'said';"
        f"said.textContent = JSON.stringify((() => {{{script}}})());"
        "parent.document.body.append(said); });</script></body>"
    )
    copy = page.with_name("asked.html")
    copy.write_text(page.read_text(encoding="utf8").replace("</body>", ask), encoding="utf8")
    frame = page.with_name("frame.html")
    frame.write_text(
        "<!doctype html><title>frame</title><body>"
        f'<iframe src="{copy.name}" style="width:{width}px;height:900px;border:0"></iframe>'
    )
    run = subprocess.run(
        [
            *(chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
            *("--allow-file-access-from-files", "--virtual-time-budget=4000"),
            *("--enable-logging=stderr", "--v=0", f"--user-data-dir={page.parent / 'profile'}"),
            *(f"--window-size={max(width, 500)},900", "--dump-dom", frame.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=600,
    )
    found = re.search(r'<pre id="said">(.*?)</pre>', run.stdout, re.DOTALL)
    console = [line for line in run.stderr.splitlines() if "CONSOLE" in line]
    assert found is not None, f"the page said nothing: {console}"
    return json.loads(html.unescape(found[1])), console
