"""The hidden folder next to a result, in which a healing keeps what it needs to continue."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import RunError
from ...io import locked, partial_path, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "widthwise healing 2"
_FILE = "state.safetensors"


@dataclass
class StateFolder:
    """One healing's state on disk; whole or absent, whenever the process is killed.

    Attributes:
        path: The folder.
        settings: All that decides what comes out, as JSON holds it; another healing is refused.
    """

    path: Path
    settings: Mapping[str, Any]

    def save(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Replace the state by a new one.

        Raises:
            OutputError: It cannot be written; the one before is still there.
        """
        head = {
            "format": FORMAT,
            "settings": json.dumps(self.settings),
            "facts": json.dumps(facts),
        }
        failure = "{path.parent}: the state was not written: {error}"
        save_tensors(self.path / _FILE, tensors, head, failure=failure)

    def load(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """Tensors and facts of the last state; None where there is none yet.

        Raises:
            RunError: It is of other settings, or cannot be read.
        """
        import safetensors

        path = self.path / _FILE
        if not path.exists():
            return None
        try:
            with safetensors.safe_open(path, "pt") as file:
                head = file.metadata() or {}
                if head.get("format") != FORMAT:
                    raise ValueError("this version of widthwise cannot continue from it")
                stored, facts = json.loads(head["settings"]), json.loads(head["facts"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}
        except (OSError, safetensors.SafetensorError, ValueError, KeyError) as error:
            raise RunError(
                f"{path}: cannot be read ({error}); remove this file to start again"
            ) from error
        for key, value in self.settings.items():
            if stored.get(key) != value:
                raise RunError(
                    f"the healing in {self.path} was started with {key} {stored.get(key)!r}, not "
                    f"{value!r}; give the same {key}, or remove its {_FILE} to start again"
                )
        return tensors, facts


@contextmanager
def state_folder(out: Path, settings: Mapping[str, Any]) -> Iterator[StateFolder]:
    """Hold the state of the healing that is to become `out`; it goes when the block ends well.

    Other files in the folder stay, and the folder with them.

    Raises:
        OutputError: It cannot be written, or another process is healing into `out`.
    """
    path = out.with_name(f".{out.name}.healing")
    busy = f"{out} is being healed into by another process"
    with locked(path, path, if_held=busy, is_folder=True):
        partial_path(path / _FILE).unlink(missing_ok=True)  # of a run that was killed
        try:
            yield StateFolder(path, settings)
            (path / _FILE).unlink(missing_ok=True)
        finally:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()
