"""Histories as columns: the recorded events of runs as Parquet, and back, bit for bit.

A file has a row per event, those of a run together and in order. ``docs/reference/histories.md``
describes the columns. Rows are written in groups, so that memory stays flat.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from agnt5.arrow import library
from agnt5.events.log import StoredFact
from agnt5.events.run.facts import RunQueued
from agnt5.exceptions import InvalidInputError, StoreCorruptError
from agnt5.histories import (
    FORMAT,
    LATEST,
    LONGEST_NAME,
    MAX_BYTES,
    Counts,
    Gathering,
    History,
    Place,
    opened_for_writing,
)

VERSION: Final = 1
_FORMAT_KEY, _VERSION_KEY = b"agnt5.format", b"agnt5.version"
_GROUP_ROWS: Final = 65_536
_GROUP_BYTES: Final = 16 * 1024 * 1024
"""Of payloads in a group of rows, of which one is in memory."""
_BATCH: Final = 4096
_OF_EVENT: Final = ("run_id", "version", "topic", "recorded_at", "event_id", "step_key", "payload")
_OF_RUN: Final = ("component", "kind", "version_label", "session_id", "user_id")
"""What the first event of the run says, repeated for whoever asks the file; not read back."""


def write_columns(histories: Iterable[History], destination: Place) -> Counts:
    """Write histories as Parquet.

    A file at a path appears when it is whole, in place of one that was there.

    Args:
        histories: What to write. They are taken one by one.
        destination: A path, or a file that was opened in binary mode.

    Returns:
        How many runs and events were written.

    Raises:
        ConfigurationError: When the extra ``parquet`` is not installed.
        InvalidInputError: When the destination is a file in text mode.
        StoreCorruptError: When an event is no UTF-8 text.
        OSError: When the file cannot be written.
    """
    arrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")
    if isinstance(destination, io.TextIOBase):
        raise InvalidInputError("columns are bytes: open the file in binary mode, as open(p, 'wb')")
    runs = events = 0
    schema = _schema(arrow)
    with opened_for_writing(destination) as file:
        writer = parquet.ParquetWriter(file, schema, compression="zstd")
        with writer:
            group = _Group()
            for history in histories:
                of_run = _said_of_run(history)
                for row in history.events:
                    group.add(row, of_run)
                    if group.is_full:
                        writer.write_batch(group.batch(arrow, schema))
                        group = _Group()
                runs, events = runs + 1, events + len(history.events)
            writer.write_batch(group.batch(arrow, schema))
    return Counts(runs, events)


def read_columns(source: Place, *, max_bytes: int = MAX_BYTES) -> list[History]:
    """Read histories from Parquet.

    Every event is decoded and folded, so that what is returned is known to be sound.

    Args:
        source: A path, or a file that was opened in binary mode.
        max_bytes: Refuse a larger file, also one that is larger when it is unpacked.

    Raises:
        ConfigurationError: When the extra ``parquet`` is not installed.
        InvalidInputError: When it is no such file, or is too large; with the number of the row at
            fault.
        OSError: When it cannot be read.
    """
    if isinstance(source, str | os.PathLike):
        with Path(source).open("rb") as file:
            return _Rows(file, os.fspath(source), max_bytes).histories()
    return _Rows(source, str(getattr(source, "name", "the file")), max_bytes).histories()


def _schema(arrow: Any) -> Any:
    text, whole = arrow.string(), arrow.int64()
    kinds = {"version": whole, "recorded_at": arrow.timestamp("us", "UTC")}
    may_lack = {"step_key", "version_label", "session_id", "user_id"}
    fields = [
        arrow.field(name, kinds.get(name, text), nullable=name in may_lack)
        for name in (*_OF_EVENT, *_OF_RUN)
    ]
    return arrow.schema(
        fields, metadata={_FORMAT_KEY: FORMAT.encode(), _VERSION_KEY: str(VERSION).encode()}
    )


def _said_of_run(history: History) -> list[object]:
    first = history.events[0] if history.events else None
    if first is None or first.topic != RunQueued.topic:
        raise InvalidInputError(f"the history of {history.run_id!r} does not begin with RunQueued")
    try:
        # Not decoded: of an event that is encrypted, these fields are in clear.
        shape = orjson.loads(first.state)
    except orjson.JSONDecodeError as error:
        msg = f"fact 1 of run {history.run_id!r} is no JSON: {error}. Check the disk."
        raise StoreCorruptError(msg) from error
    return [shape.get(name) for name in _OF_RUN]


class _Group:
    """Rows that are written together."""

    def __init__(self) -> None:
        self._rows: list[Sequence[object]] = []
        self._bytes = 0

    def add(self, row: StoredFact, of_run: Sequence[object]) -> None:
        """Another event."""
        try:
            payload = row.state.decode("utf-8")
        except UnicodeDecodeError as error:
            msg = f"fact {row.version} of run {row.stream!r} is no text: {error}. Check the disk."
            raise StoreCorruptError(msg) from error
        self._rows.append(
            (row.stream, row.version, row.topic, row.at, row.event_id, row.step, payload, *of_run)
        )
        self._bytes += len(row.state)

    @property
    def is_full(self) -> bool:
        """Whether it is time to write it."""
        return len(self._rows) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES

    def batch(self, arrow: Any, schema: Any) -> Any:
        """The rows as columns."""
        columns = zip(*self._rows, strict=True) if self._rows else ([] for _ in schema)
        arrays = [
            arrow.array(list(values), field.type)
            for values, field in zip(columns, schema, strict=True)
        ]
        return arrow.record_batch(arrays, schema=schema)


class _Rows:
    """A file that is being read, row by row."""

    def __init__(self, file: BinaryIO, name: str, max_bytes: int) -> None:
        self._name = name
        self._limit = max_bytes
        self._number = 0
        self._gathered = Gathering(self._wrong)
        self._arrow = library("pyarrow", "parquet")
        self._parquet = library("pyarrow.parquet", "parquet")
        self._file = self._opened(file)

    def histories(self) -> list[History]:
        for row in self._rows():
            self._gathered.add(row)
        self._gathered.end()
        return self._gathered.found

    def _opened(self, file: BinaryIO) -> Any:
        # The index of the columns is at the end, so a pipe is read as a whole first.
        data = file.read(self._limit + 1)
        if not isinstance(data, bytes):
            raise self._wrong("columns are bytes: open the file in binary mode")
        if len(data) > self._limit:
            raise self._too_large()
        try:
            opened = self._parquet.ParquetFile(io.BytesIO(data))
            self._check_header(opened)
        except (self._arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._wrong(f"it is no Parquet file, or was damaged: {error}") from error
        return opened

    def _check_header(self, opened: Any) -> None:
        about = opened.schema_arrow.metadata or {}
        if about.get(_FORMAT_KEY) != FORMAT.encode():
            raise self._wrong(f"it is no file of histories: its metadata has no format {FORMAT!r}")
        version = about.get(_VERSION_KEY, b"").decode(errors="replace")
        if version != str(VERSION):
            msg = f"this agnt5 reads version {VERSION} of the columns, and the file has {version!r}"
            raise self._wrong(f"{msg}: upgrade agnt5")
        wanted = _schema(self._arrow)
        for name in _OF_EVENT:
            found = opened.schema_arrow
            place = found.get_field_index(name)
            kind = wanted.field(name).type
            if place < 0 or found.field(place).type != kind:
                raise self._wrong(f"it has no column {name!r} of the type {kind}")
        groups = opened.metadata
        sizes = (groups.row_group(n).total_byte_size for n in range(groups.num_row_groups))
        if sum(sizes) > self._limit:
            raise self._too_large()

    def _rows(self) -> Iterator[StoredFact]:
        left = self._limit
        try:
            for batch in self._file.iter_batches(_BATCH, columns=list(_OF_EVENT)):
                columns = [self._values(batch, name) for name in _OF_EVENT]
                for values in zip(*columns, strict=True):
                    self._number += 1
                    row = self._row(dict(zip(_OF_EVENT, values, strict=True)))
                    left -= len(row.state)
                    if left < 0:
                        raise self._too_large()
                    yield row
        except (self._arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise self._wrong(f"it cannot be read any further: {error}") from error

    def _values(self, batch: Any, name: str) -> list[object]:
        column = batch.column(batch.schema.get_field_index(name))
        if name == "recorded_at":
            column = column.cast(self._arrow.int64())
        values: list[object] = column.to_pylist()
        return values

    def _row(self, values: dict[str, object]) -> StoredFact:
        payload = values["payload"]
        if not isinstance(payload, str):
            raise self._wrong("it has no payload")
        return StoredFact(
            stream=self._text(values, "run_id"),
            version=self._count(values, "version", 1),
            position=0,
            topic=self._text(values, "topic"),
            state=payload.encode("utf-8"),
            at=self._count(values, "recorded_at", 0),
            event_id=self._text(values, "event_id"),
            step=None if values["step_key"] is None else self._text(values, "step_key"),
        )

    def _text(self, values: dict[str, object], name: str) -> str:
        value = values[name]
        if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_NAME:
            raise self._wrong(f"{name} is a text of 1 to {LONGEST_NAME} characters: {value!r:.60}")
        return value

    def _count(self, values: dict[str, object], name: str, least: int) -> int:
        value = values[name]
        if not isinstance(value, int) or not least <= value <= LATEST:
            raise self._wrong(f"{name} is a whole number of at least {least}, not {value!r:.60}")
        return value

    def _too_large(self) -> InvalidInputError:
        return self._wrong(
            f"it has more than max_bytes={self._limit} bytes, packed or unpacked: pass more of them"
            " to read a larger one"
        )

    def _wrong(self, problem: str) -> InvalidInputError:
        where = f", row {self._number}" if self._number else ""
        return InvalidInputError(f"{self._name}{where}: {problem}")
