"""The store of a run: what is done, what failed and what is missing, in one folder."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ..errors import RunError
from ..io import append_lines, read_whole_lines
from .folder import RunFolder

R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class RecordFormat(Generic[R]):
    """How records are lines of a file of JSON lines, appended and never rewritten.

    Attributes:
        file: Name of the file in the folder of a run.
        what: Name of such a run, in errors.
        begun: Pattern of other files that such a run may leave before its first record.
        key: Gives the key of a record; records of one key are the same work.
        to_json: Writes a record as one line.
        from_json: Reads a line; raises RunError where it is no record.
        is_failed: Whether a record says that its work failed, so that it is tried again.
        error: The sentence for a line that is no record, with `{path}`, `{number}` and `{error}`.
    """

    file: str
    key: Callable[[R], Hashable]
    to_json: Callable[[R], str]
    from_json: Callable[[str], R]
    is_failed: Callable[[R], bool] = lambda _: False
    error: str = "{path}:{number}: {error}"
    what: str = "study"
    begun: str = ""

    def folder(self, path: str | Path) -> RunFolder:
        """The folder of a run with such records."""
        return RunFolder(path, what=self.what, records=self.file, begun=self.begun)

    def append(self, path: Path, records: Iterable[R]) -> None:
        """Append records and force them to disk; a line that an interruption cut off goes first.

        Raises:
            OutputError: The file cannot be written; what it held is still there.
        """
        append_lines(path, [self.to_json(record) for record in records])

    def load(self, path: Path) -> dict[Hashable, R]:
        """The whole records of a file by their keys; an absent file holds none.

        Of several records of one key the last one counts, in the place of the first.

        Raises:
            RunError: A whole line is no record, with its number.
        """
        return {self.key(record): record for record in self.read(path)}

    def read(self, path: Path) -> Iterator[R]:
        """The whole records of a file, line by line.

        Raises: as `load`.
        """
        for number, line in enumerate(read_whole_lines(path), 1):
            try:
                yield self.from_json(line)
            except RunError as error:
                message = self.error.format(path=path, number=number, error=error)
                raise RunError(message) from error


class RunStore(Generic[R]):
    """The records of a run in its folder; the only one that writes them.

    Args:
        folder: Folder of the run.
        record_format: How its records are written.
        on_record: Called with each record that is added, once it is on disk.

    Attributes:
        folder: Holds the lock and the settings of the run.
        path: File of the records.
        records: All records, by key.
    """

    def __init__(
        self,
        folder: str | Path,
        record_format: RecordFormat[R],
        *,
        on_record: Callable[[R], None] = lambda _: None,
    ) -> None:
        self.folder = record_format.folder(folder)
        self.path = self.folder.path / record_format.file
        self.records: dict[Hashable, R] = {}
        self._format = record_format
        self._on_record = on_record

    def load(self) -> None:
        """Take up the records that the folder holds.

        Raises:
            RunError: One of them cannot be read.
        """
        self.records = self._format.load(self.path)

    def is_done(self, keys: Sequence[Hashable], *, retry_failed: bool = True) -> bool:
        """Whether the work of these keys, which belong together, is done.

        Work of which every record says that it failed is not, unless `retry_failed` is false.
        """
        known = [self.records[key] for key in keys if key in self.records]
        if any(not self._format.is_failed(record) for record in known):
            return True
        return not retry_failed and len(known) == len(keys)

    def add(self, records: Sequence[R]) -> None:
        """Append records, all of them in one step; of none, nothing is written."""
        if not records:
            return
        self._format.append(self.path, records)
        for record in records:
            self.records[self._format.key(record)] = record
            self._on_record(record)
