"""Follows the runs of a process as their facts become durable.

What is known of a run lives in memory while that is executed. Of one that comes back, in this
process or in another, the beginning is read again: nothing of that is told a second time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import cast

import anyio

from agnt5.events.codec import decode_fact, decode_history
from agnt5.events.index import NO_RUN
from agnt5.events.log import Append, EventLog, RawFact, StoredFact
from agnt5.events.run import facts as f
from agnt5.telemetry.run_spans import RunSpans
from agnt5.telemetry.spans import SpanRecord

logger = logging.getLogger("agnt5.telemetry")

_UNREAD = "the spans of run %s cannot be told just now, and are again at its next event: %s"

Told = Callable[[RunSpans, f.RunFact, int, Sequence[SpanRecord]], None]
"""A fact has become durable: the run, the fact, its time, and the spans that it has ended."""

_Beginning = asyncio.Future[RunSpans]


class _Followed:
    """One run."""

    __slots__ = ("spans", "waiting")

    def __init__(self, run_id: str) -> None:
        self.spans = RunSpans(run_id)
        self.waiting: list[Append] | None = None
        """What came while its beginning is being read."""


class Feed:
    """Hands on each durable fact of each run, in order. Lives on the loop of the runtime."""

    def __init__(self, log: EventLog, told: Told) -> None:
        self._log: EventLog | None = log
        self._told = told
        self._runs: dict[str, _Followed] = {}
        self._reading: set[_Beginning] = set()

    def hear(self, settled: Sequence[Append], *, since_opening: bool) -> None:
        """Appends are durable, or have failed.

        Args:
            settled: The appends.
            since_opening: Whether everything was heard since the runtime was opened: what is under
                way and was never heard of was then begun by another process, which is gone.
        """
        for append in settled:
            is_run = append.facts and not append.stream.startswith(NO_RUN)
            if append.error is not None or not is_run or self._log is None:
                continue
            if append.imported and append.facts[-1].topic != f.RunForked.topic:
                continue
            try:
                self._take(append, self._log, since_opening=since_opening)
            except Exception:
                self._runs.pop(append.stream, None)
                logger.exception(_UNREAD, append.stream, "see below")

    def forget(self) -> None:
        """Nobody is told any more."""
        self._runs.clear()

    async def close(self, patience_s: float) -> None:
        """Read what is being read, and follow nothing any more."""
        with anyio.move_on_after(patience_s):
            # What is read may lead to another beginning, of a run that was parked meanwhile.
            while self._reading:
                await asyncio.wait(self._reading)
                await asyncio.sleep(0)
        self._log = None
        self._runs.clear()

    def _take(self, append: Append, log: EventLog, *, since_opening: bool) -> None:
        run = self._runs.get(append.stream)
        if run is None or (run.waiting is None and run.spans.version != append.after):
            # Also when somebody else has extended the stream in between.
            run = self._runs[append.stream] = _Followed(append.stream)
            if append.after:
                run.waiting = []
                self._read(append.stream, append.after, run, log, since_opening=since_opening)
        if run.waiting is not None:
            run.waiting.append(append)
        else:
            self._feed(append, run)

    def _feed(self, append: Append, run: _Followed) -> None:
        last = len(append.facts) - 1
        for n, raw in enumerate(append.facts):
            fact = _fact_of(append, n, raw)
            ended = run.spans.see(fact, raw.at)
            if n == last or not append.imported:  # what a fork has copied was told of its origin
                self._told(run.spans, fact, raw.at, ended)
            if n == last and run.spans.may_be_forgotten(fact):
                # A run that only waits, for whatever, costs no memory: it is read when it goes on.
                self._runs.pop(append.stream, None)

    def _read(
        self, run_id: str, upto: int, run: _Followed, log: EventLog, *, since_opening: bool
    ) -> None:
        def look() -> RunSpans:
            spans = RunSpans(run_id)
            for fact, at in decode_history(log.read(run_id, upto=upto)):
                spans.see(fact, at)
            if since_opening:
                spans.begin_again()
            return spans

        def on_read(reading: _Beginning) -> None:
            self._reading.discard(reading)
            if reading.cancelled() or self._runs.get(run_id) is not run:
                return
            error = reading.exception()
            if error is not None:
                del self._runs[run_id]
                logger.error(_UNREAD, run_id, error)
                return
            run.spans = reading.result()
            waiting, run.waiting = run.waiting or [], None
            # As if they came now: one of them may have it forgotten, and the next read again.
            self.hear(waiting, since_opening=since_opening)

        reading = asyncio.get_running_loop().run_in_executor(None, look)
        self._reading.add(reading)
        reading.add_done_callback(on_read)


def _fact_of(append: Append, n: int, raw: RawFact) -> f.RunFact:
    if raw.fact is not None:
        return cast("f.RunFact", raw.fact)  # it is of a run's stream, and who made it knew that
    row = StoredFact(
        append.stream, append.after + n + 1, 0, raw.topic, raw.state, raw.at, raw.event_id
    )
    return decode_fact(row)
