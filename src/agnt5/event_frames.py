"""Events as columns, for those who compute: batches of pyarrow, a frame of pandas.

A row per event, as ``client.events`` gives them. ``docs/reference/queries.md`` has the columns.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import Any, Final

import orjson

from agnt5.arrow import library
from agnt5.responses import Event

VERSION: Final = 1
_BATCH: Final = 4096
_COLUMNS: Final = (
    "position",
    "run_id",
    "version",
    "event_type",
    "step_key",
    "input",
    "output",
    "metadata",
    "event_id",
    "recorded_at",
)


class Frames:
    """Makes batches and frames. The libraries must be there.

    Raises:
        ConfigurationError: When they are not installed.
    """

    def __init__(self, *, pandas: bool = False) -> None:
        self._arrow = library("pyarrow", "dataframe" if pandas else "parquet")
        if pandas:
            library("pandas", "dataframe")
        arrow = self._arrow
        whole = {"position", "version"}
        kinds = {"recorded_at": arrow.timestamp("us", "UTC")}
        kinds |= dict.fromkeys(whole, arrow.int64())
        self.schema = arrow.schema(
            [arrow.field(name, kinds.get(name, arrow.string())) for name in _COLUMNS],
            metadata={b"agnt5.format": b"agnt5.events", b"agnt5.version": str(VERSION).encode()},
        )

    def batches(self, events: Iterable[Event]) -> Iterator[Any]:
        """Batches of so many events as they come; none of no events."""
        group: list[Event] = []
        for event in events:
            group.append(event)
            if len(group) == _BATCH:
                yield self._batch(group)
                group = []
        if group:
            yield self._batch(group)

    async def batches_of(self, events: AsyncIterable[Event]) -> AsyncIterator[Any]:
        """The same, awaited."""
        group: list[Event] = []
        async for event in events:
            group.append(event)
            if len(group) == _BATCH:
                yield self._batch(group)
                group = []
        if group:
            yield self._batch(group)

    def frame(self, batches: Sequence[Any]) -> Any:
        """All of them as one frame of pandas."""
        return self._arrow.Table.from_batches(batches, schema=self.schema).to_pandas()

    def _batch(self, events: Sequence[Event]) -> Any:
        columns = zip(*map(_row, events), strict=True)
        arrays = [
            self._arrow.array(list(values), field.type)
            for values, field in zip(columns, self.schema, strict=True)
        ]
        return self._arrow.record_batch(arrays, schema=self.schema)


def _row(event: Event) -> tuple[object, ...]:
    about = dict(event.metadata)
    position, version = about.pop("position", None), about.pop("version", None)
    return (
        position,
        event.run_id,
        version,
        event.event_type,
        event.step_key,
        _json(event.input_data),
        _json(event.output_data),
        _json(about) if about else None,
        event.id,
        event.timestamp_ns // 1000,
    )


def _json(value: object) -> str | None:
    return None if value is None else orjson.dumps(value).decode()
