"""Histories as files: the recorded events of runs as JSON lines, and back, bit for bit.

A file is a header line, a line per event, and an end line with the counts, so that a file that was
cut off is never taken for a whole one. ``docs/reference/histories.md`` describes the format. Only
files and bytes here: what a store has to do with them says :mod:`agnt5.archive`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, cast

import orjson

from agnt5.events.codec import decode_fact
from agnt5.events.log import StoredFact
from agnt5.events.run.facts import RunFact, RunQueued
from agnt5.events.run.state import RunState, evolve, fold
from agnt5.exceptions import AGNT5Error, InvalidInputError, StoreCorruptError
from agnt5.names import check_run_id

FORMAT = "agnt5.history"
VERSION = 1
MAX_BYTES = 256 * 1024 * 1024
"""Of a file that is read, unless the caller allows more."""
MAX_LINE_BYTES = 64 * 1024 * 1024
"""Of one event: far above what a payload limit lets into a store."""
LONGEST_NAME = 4096
LATEST = 2**63 - 1

Place = str | os.PathLike[str] | BinaryIO
"""A path, or a file that was opened in binary mode."""


@dataclass(frozen=True, slots=True)
class History:
    """Everything that was recorded of one run, as a store keeps it.

    Attributes:
        run_id: The run.
        events: Its events, in order; versions count from 1. The ``position`` of an event belongs
            to the store that it was read from, so it is 0 here.
    """

    run_id: str
    events: tuple[StoredFact, ...]

    @classmethod
    def of(cls, run_id: str, stored: Iterable[StoredFact]) -> History:
        """The history of a run, from the rows of a store."""
        return cls(run_id, tuple(replace(row, position=0) for row in stored))

    @property
    def facts(self) -> list[tuple[RunFact, int]]:
        """The events decoded, each with its time in microseconds since the epoch.

        Raises:
            StoreCorruptError: When one cannot be read.
            StoreSchemaError: When a newer agnt5 wrote one.
        """
        return [(decode_fact(row), row.at) for row in self.events]

    @property
    def queued(self) -> RunQueued:
        """Its first event: the component, the input and whatever the run was accepted with.

        Raises:
            InvalidInputError: When the history does not begin with it.
        """
        first = decode_fact(self.events[0]) if self.events else None
        if not isinstance(first, RunQueued):
            raise InvalidInputError(f"the history of {self.run_id!r} does not begin with RunQueued")
        return first

    def state(self) -> RunState:
        """What is known of the run after its last event."""
        return fold(self.run_id, self.facts)

    def upto(self, version: int) -> History:
        """The history as it was when this version had been recorded."""
        return History(self.run_id, self.events[:version])


@dataclass(frozen=True, slots=True)
class Counts:
    """How much was written or read."""

    runs: int
    events: int
    shredded: tuple[str, ...] = ()
    """Runs that were left out, because their payloads were shredded."""


def write_histories(histories: Iterable[History], destination: Place) -> Counts:
    """Write histories as JSON lines.

    A file at a path appears when it is whole, in place of one that was there.

    Args:
        histories: What to write. They are taken one by one, so that they need not fit into memory.
        destination: A path, or a file that was opened in binary mode.

    Returns:
        How many runs and events were written.

    Raises:
        InvalidInputError: When the destination is a file in text mode.
        StoreCorruptError: When an event is no UTF-8 text.
        OSError: When the file cannot be written.
    """
    with opened_for_writing(destination) as file:
        runs = events = 0
        _put(file, {"format": FORMAT, "version": VERSION})
        for history in histories:
            for row in history.events:
                _put(file, _fields_of(row))
            runs, events = runs + 1, events + len(history.events)
        _put(file, {"end": {"runs": runs, "events": events}})
    return Counts(runs, events)


def read_histories(source: Place, *, max_bytes: int = MAX_BYTES) -> list[History]:
    """Read histories from JSON lines. Files put one after the other are one file.

    Every event is decoded and folded, so that what is returned is known to be sound.

    Args:
        source: A path, or a file that was opened in binary mode.
        max_bytes: Refuse a larger file, because all of it is held in memory; 256 MiB by default.

    Returns:
        The histories, in the order of the file.

    Raises:
        InvalidInputError: When it is no such file, or is too large; with the number of the line
            at fault.
        OSError: When it cannot be read.
    """
    if not isinstance(source, str | os.PathLike):
        return _Lines(source, getattr(source, "name", "the file"), max_bytes).histories()
    with Path(source).open("rb") as file:
        return _Lines(file, os.fspath(source), max_bytes).histories()


# Writing.


def _fields_of(row: StoredFact) -> dict[str, object]:
    fields: dict[str, object] = {
        "stream": row.stream,
        "version": row.version,
        "topic": row.topic,
        "at": row.at,
        "event_id": row.event_id,
        "step": row.step,
    }
    if _is_canonical(row.state):
        fields["state"] = orjson.Fragment(row.state)
        return fields
    try:
        fields["state_text"] = row.state.decode("utf-8")
    except UnicodeDecodeError as error:
        msg = f"fact {row.version} of run {row.stream!r} is no text: {error}. Check the disk."
        raise StoreCorruptError(msg) from error
    return fields


def _is_canonical(state: bytes) -> bool:
    """Whether reading the JSON and writing it again gives the same bytes."""
    try:
        return orjson.dumps(orjson.loads(state)) == state
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False


def _put(file: BinaryIO, line: dict[str, object]) -> None:
    try:
        file.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    except TypeError as error:
        msg = "histories are written as bytes: open the file in binary mode, as in open(path, 'wb')"
        raise InvalidInputError(msg) from error


@contextmanager
def opened_for_writing(destination: Place) -> Generator[BinaryIO, None, None]:
    """A file to write to; one at a path appears when it is whole."""
    if not isinstance(destination, str | os.PathLike):
        yield destination
        return
    path = Path(destination)
    handle, part = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(part).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(part).unlink()
        raise


# Reading.

_EVENT_FIELDS = {"stream", "version", "topic", "at", "event_id", "step"}


class Gathering:
    """Histories, event by event, from a file of whatever form. Each is decoded and folded.

    Args:
        wrong: Makes the error of a problem, with the place in the file.
    """

    def __init__(self, wrong: Callable[[str], InvalidInputError]) -> None:
        self.found: list[History] = []
        self.events = 0
        self._wrong = wrong
        self._known: set[str] = set()
        self._rows: list[StoredFact] = []
        self._state = RunState("")

    def add(self, row: StoredFact) -> None:
        """The next event of the file.

        Raises:
            InvalidInputError: When it cannot be what comes next.
        """
        if self._rows and row.stream != self._state.run_id:
            self.end()
        if not self._rows:
            self._state = self._begin(row)
        self._fold(self._state, row)
        self._rows.append(row)
        self.events += 1

    def end(self) -> None:
        """No more events of the last run."""
        if self._rows:
            self.found.append(History(self._state.run_id, tuple(self._rows)))
            self._rows = []

    def _begin(self, row: StoredFact) -> RunState:
        run_id = row.stream
        try:
            check_run_id(run_id)
        except InvalidInputError as error:
            raise self._wrong(str(error)) from error
        if run_id in self._known:
            raise self._wrong(f"run {run_id!r} was in the file before: its events must be together")
        self._known.add(run_id)
        return RunState(run_id)

    def _fold(self, state: RunState, row: StoredFact) -> None:
        if row.version != state.version + 1:
            msg = f"version {state.version + 1} of run {state.run_id!r} should come now, not"
            raise self._wrong(f"{msg} {row.version}")
        try:
            fact = decode_fact(row)
        except AGNT5Error as error:
            raise self._wrong(str(error)) from error
        is_first = isinstance(fact, RunQueued)
        if is_first != (row.version == 1):
            raise self._wrong("a run begins with RunQueued, once")
        if state.is_finished:
            raise self._wrong(f"run {state.run_id!r} has ended before: nothing can follow")
        try:
            evolve(state, fact, row.at)
        except (LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
            msg = f"{row.topic} cannot follow what comes before it in run {state.run_id!r}"
            raise self._wrong(f"{msg}: {error!r}") from error


class _Lines:
    """A file that is being read, line by line."""

    def __init__(self, file: BinaryIO, name: str, max_bytes: int) -> None:
        self._file = file
        self._name = name
        self._left = self._limit = max_bytes
        self._number = 0
        self._gathered = Gathering(self._wrong)

    def histories(self) -> list[History]:
        first = self._next()
        if first is None:
            raise self._wrong("the file is empty: a history begins with a header line")
        while first is not None:
            self._check_header(first)
            self._section()
            first = self._next()
        return self._gathered.found

    def _section(self) -> None:
        """The runs up to the next end line."""
        gathered = self._gathered
        runs, events = len(gathered.found), gathered.events
        while True:
            line = self._next()
            if line is None:
                raise self._wrong("the file ends before its end line: it was cut off")
            if "end" in line:
                gathered.end()
                self._check_end(line, len(gathered.found) - runs, gathered.events - events)
                return
            gathered.add(self._row(line))

    def _row(self, line: dict[str, object]) -> StoredFact:
        texts = {"state_text"} if "state_text" in line else {"state"}
        if set(line) != _EVENT_FIELDS | texts:
            missing = sorted((_EVENT_FIELDS | texts) - set(line))
            other = sorted(set(line) - _EVENT_FIELDS - texts)
            raise self._wrong(f"an event lacks the fields {missing} or has others: {other}")
        return StoredFact(
            stream=self._text(line, "stream"),
            version=self._count(line, "version", 1),
            position=0,
            topic=self._text(line, "topic"),
            state=self._state(line),
            at=self._count(line, "at", 0),
            event_id=self._text(line, "event_id"),
            step=None if line["step"] is None else self._text(line, "step"),
        )

    def _state(self, line: dict[str, object]) -> bytes:
        if "state" in line:
            return orjson.dumps(line["state"])
        text = line["state_text"]
        if not isinstance(text, str):
            raise self._wrong(f"state_text is a text, not {text!r:.60}")
        return text.encode("utf-8")

    def _text(self, line: dict[str, object], name: str) -> str:
        value = line[name]
        if not isinstance(value, str) or not value or len(value) > LONGEST_NAME:
            raise self._wrong(f"{name} is a text of 1 to {LONGEST_NAME} characters: {value!r:.60}")
        return value

    def _count(self, line: dict[str, object], name: str, least: int) -> int:
        value = line[name]
        known = isinstance(value, int) and not isinstance(value, bool)
        if not known or not least <= cast("int", value) <= LATEST:
            raise self._wrong(f"{name} is a whole number of at least {least}, not {value!r:.60}")
        return cast("int", value)

    def _check_header(self, line: dict[str, object]) -> None:
        if line.get("format") != FORMAT:
            msg = f'it should be a header such as {{"format":"{FORMAT}","version":{VERSION}}}'
            raise self._wrong(msg)
        version = line.get("version")
        if version != VERSION:
            msg = f"this agnt5 reads version {VERSION} of the format, and the file has {version!r}"
            raise self._wrong(f"{msg}: upgrade agnt5")

    def _check_end(self, line: dict[str, object], runs: int, events: int) -> None:
        if line != {"end": {"runs": runs, "events": events}}:
            msg = f"the end line says {line['end']!r:.80}, and there were {runs} runs and {events}"
            raise self._wrong(f"{msg} events: lines were lost or added")

    def _next(self) -> dict[str, object] | None:
        """The next line that is not blank; None at the end."""
        while True:
            limit = min(MAX_LINE_BYTES, self._left) + 1
            line = self._file.readline(limit)
            self._number += 1
            if not isinstance(line, bytes):
                raise self._wrong("histories are bytes: open the file in binary mode")
            self._left -= len(line)
            if len(line) >= limit:
                raise self._wrong(
                    f"a line may have {MAX_LINE_BYTES} bytes, and the file max_bytes={self._limit}:"
                    " pass more of them to read a larger one"
                )
            if not line:
                return None
            if line.strip():
                return self._parsed(line)

    def _parsed(self, line: bytes) -> dict[str, object]:
        try:
            parsed = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise self._wrong(f"it is no JSON: {error}") from error
        if isinstance(parsed, dict):
            return parsed
        raise self._wrong("it is no JSON object")

    def _wrong(self, problem: str) -> InvalidInputError:
        return InvalidInputError(f"{self._name}, line {self._number}: {problem}")
