"""Runs that have been kept long enough: written to a file first, and deleted then.

A file is whole, on disk and read back before anything is deleted. Its name follows from what is in
it: a process that dies between the two writes the same file again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from agnt5.events.log import EventLog
from agnt5.exceptions import StoreCorruptError
from agnt5.histories import read_histories, write_histories
from agnt5.retention import Batch, Place, Planner
from agnt5.wording import counted

_LONGEST_NAME = 60


@dataclass(slots=True)
class Pruned:
    """What has been deleted, or would be.

    Attributes:
        runs: How many runs.
        events: How many events.
        size: Bytes of what these say.
        files: The files that they were written to.
        kept: Families that had to stay, by the reason: ``unfinished`` (a run that one of them has
            started is under way), ``recent`` (it has ended too lately), ``owing`` (another run
            has not heard of it yet), ``in memory``, ``scheduled`` (the last run of its schedule),
            ``key`` (it has its key from a run that stays), ``shredded`` (nobody can read it, so
            that no archive takes it), ``damaged``.
        dry_run: Nothing was done.
    """

    runs: int = 0
    events: int = 0
    size: int = 0
    files: list[str] = field(default_factory=list)
    kept: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False

    def __str__(self) -> str:
        """One sentence, and a line for each file."""
        done = "would be deleted" if self.dry_run else "deleted"
        what = f"{counted(self.runs, 'run')} with {counted(self.events, 'event')}"
        text = f"{what} ({self.size} bytes) {done}"
        kept = ", ".join(f"{number} {reason}" for reason, number in sorted(self.kept.items()))
        lines = [f"{text}; kept: {kept}" if kept else text, *self.files]
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return {
            "runs": self.runs,
            "events": self.events,
            "size": self.size,
            "files": self.files,
            "kept": self.kept,
            "dry_run": self.dry_run,
        }


class Pruner:
    """Prunes a log batch by batch, so that others can come between. For one thread at a time."""

    def __init__(
        self, log: EventLog, planner: Planner, archive: Place | None, name: str, *, dry_run: bool
    ) -> None:
        self.result = Pruned(dry_run=dry_run)
        self._log = log
        self._planner = planner
        self._batches: Iterator[Batch] = planner.batches()
        self._archive = None if archive is None else Path(archive)
        self._name = _plain(name)

    def step(self) -> bool:
        """One batch; whether there may be more.

        Raises:
            StoreError: When the store cannot be read or written. What went before stays done.
            OSError: When the file cannot be written. Nothing of the batch was deleted.
        """
        batch = next(self._batches, None)
        result = self.result
        result.kept = dict(self._planner.kept)
        if batch is None:
            if not result.dry_run and result.runs:
                self._log.collect()
            return False
        if not result.dry_run:
            if self._archive is not None:
                result.files.append(str(self._write(batch, self._archive)))
            gone = set(self._log.forget(batch.removals))
            batch.histories = [each for each in batch.histories if each.run_id in gone]
        result.runs += len(batch.histories)
        for history in batch.histories:
            result.events += len(history.events)
            result.size += sum(len(row.state) for row in history.events)
        return True

    def _write(self, batch: Batch, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self._name}-{_stamp(batch)}-{_digest(batch)}.jsonl"
        write_histories(batch.histories, path)
        _force(folder)  # the name of the file must be on disk, too
        if read_histories(path, max_bytes=path.stat().st_size) != batch.histories:
            msg = (
                f"{path} does not hold what was written to it; nothing was deleted. Check the disk."
            )
            raise StoreCorruptError(msg)
        return path


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:_LONGEST_NAME]


def _stamp(batch: Batch) -> str:
    """When the last of them ended."""
    at = max(history.events[-1].at for history in batch.histories)
    return f"{datetime.fromtimestamp(at / 1e6, UTC):%Y%m%dT%H%M%SZ}"


def _digest(batch: Batch) -> str:
    found = sha256()
    for each in batch.removals:
        found.update(f"{each.stream}\n{each.version}\n".encode())
    return found.hexdigest()[:12]


def _force(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
