"""Reads streams on a thread of its own, many in one go: one hop per group, not per run."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Literal, get_args

from agnt5.events.codec import decode_history
from agnt5.events.index import last_of_chain
from agnt5.events.log import EventLog, StoredFact
from agnt5.events.run.facts import RunContinued, RunFact, Terminal
from agnt5.events.shredded import show_history
from agnt5.exceptions import AGNT5Error, StoreError
from agnt5.privacy_errors import ShreddedError

History = list[tuple[RunFact, int]]


class Recorded(History):
    """A history that was read.

    Attributes:
        size: Bytes of what its facts say.
    """

    size: int = 0


OnRead = Callable[[str, History | AGNT5Error], None]
Extent = Literal["whole", "left", "ends"]
"""All of it; all that is left of it; or the first and the last fact."""
_Request = tuple[str, OnRead, Extent]
"""A stream, who wants it, and how much of it."""
_ENDS = frozenset(kind.topic for kind in get_args(Terminal))

_GROUP = 64


class Reader:
    """Serves requests for whole streams, in order."""

    def __init__(self, log: EventLog, context: Context) -> None:
        self._log = log
        self._context = context
        self._loop = asyncio.get_running_loop()
        self._requests: queue.SimpleQueue[_Request | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def read(self, stream: str, on_read: OnRead) -> None:
        """Read a stream; ``on_read`` is called on the loop with its history or the error."""
        self._ask(stream, on_read, "whole")

    def read_left(self, stream: str, on_read: OnRead) -> None:
        """The same; of a run that has ended and was shredded, what is left.

        For those who ask something of a run, not for those who need what it said.
        """
        self._ask(stream, on_read, "left")

    def read_ends(self, stream: str, on_read: OnRead) -> None:
        """Read the first and the last fact of a stream: how a run began, and whether it ended.

        Of a run that went on as others: of the last one, whose id ``on_read`` is told.
        """
        self._ask(stream, on_read, "ends")

    def _ask(self, stream: str, on_read: OnRead, extent: Extent) -> None:
        if self._closed:
            return  # a timer rang late: the log may be closed, and the answer is of no use
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="agnt5-reader", daemon=True)
            self._thread.start()
        self._requests.put((stream, on_read, extent))

    def close(self) -> None:
        """Serve what was asked, then end. What is asked later is not answered."""
        self._closed = True
        if self._thread is not None:
            self._requests.put(None)
            self._thread.join()
            self._thread = None

    def _serve(self) -> None:
        while True:
            group = [self._requests.get()]
            while len(group) < _GROUP and not self._requests.empty():
                group.append(self._requests.get())
            wanted = [item for item in group if item is not None]
            if wanted:
                self._answer(wanted)
            if len(wanted) < len(group):
                return

    def _answer(self, wanted: list[_Request]) -> None:
        answers: list[tuple[OnRead, str, History | AGNT5Error]] = []
        try:
            streams = [stream for stream, _, extent in wanted if extent != "ends"]
            rows = self._log.read_many(streams) if streams else {}
            ends = {stream: self._ends(stream) for stream, _, extent in wanted if extent == "ends"}
        except Exception as error:  # noqa: BLE001 - this thread reads for every run: it must not die
            failure = _failure(error)
            answers = [(on_read, stream, failure) for stream, on_read, _ in wanted]
        else:
            for stream, on_read, extent in wanted:
                is_ends = extent == "ends"
                run_id, found = ends[stream] if is_ends else (stream, rows.get(stream, []))
                answers.append((on_read, run_id, self._decoded(found, extent)))
        try:
            self._loop.call_soon_threadsafe(self._deliver, answers, context=self._context)
        except RuntimeError:
            # The loop is closed: there is nobody left to read for.
            return

    def _deliver(self, answers: list[tuple[OnRead, str, History | AGNT5Error]]) -> None:
        for on_read, stream, answer in answers:
            try:
                on_read(stream, answer)
            except Exception as error:  # noqa: BLE001 - the others of the group have asked as well
                what = f"what was read of {stream!r} could not be taken"
                self._loop.call_exception_handler({"message": what, "exception": error})

    def _ends(self, stream: str) -> tuple[str, list[StoredFact]]:
        while True:
            first, last = self._log.read(stream, upto=1), self._log.last(stream)
            if last is None or last.topic != RunContinued.topic:
                return stream, [*first, *([last] if last is not None and last.version > 1 else [])]
            stream = last_of_chain(self._log, stream)

    @staticmethod
    def _decoded(rows: list[StoredFact], extent: Extent) -> History | AGNT5Error:
        try:
            history = Recorded(decode_history(rows))
        except ShreddedError as error:
            if extent != "left" or rows[-1].topic not in _ENDS:
                return error
            history = Recorded(show_history(rows))
        except Exception as error:  # noqa: BLE001 - the same
            return _failure(error)
        history.size = sum([len(row.state) for row in rows])
        return history


def _failure(error: Exception) -> AGNT5Error:
    if isinstance(error, AGNT5Error):
        return error
    failure = StoreError(f"the log could not be read: {error!r}")
    failure.__cause__ = error
    return failure
