"""Small things to drive a log with by hand: facts, rows, appends, and a sink that can be waited on.

What lies in the facts is not decodable: a store must not look into it.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from itertools import count
from typing import Generic, TypeVar

from agnt5.events.index import IndexChange, RunRow
from agnt5.events.log import Append, Chain, EventLog, RawFact
from agnt5.exceptions import StoreError

PATIENCE_S = 20.0
"""How long to wait for an append to be settled, in seconds."""

_ids = count(1)

AnyLog = TypeVar("AnyLog", bound=EventLog)


def make_facts(
    number: int = 1,
    *,
    topic: str = "StepCompleted;v=2",
    state: bytes | None = None,
    step: str | None = None,
) -> list[RawFact]:
    """So many new facts, each with an event id that was never used before in this process.

    Args:
        number: How many.
        topic: Their topic.
        state: Their bytes; by default a small JSON object that tells them apart.
        step: The key of their operation.
    """
    return [
        RawFact(
            topic=topic,
            state=b'{"n":%d}' % index if state is None else state,
            at=1_700_000_000_000_000 + index,
            event_id=f"e{next(_ids)}",
            step=step,
        )
        for index in range(number)
    ]


def make_row(
    run_id: str,
    *,
    component: str = "greet",
    status: str = "running",
    parked: bool = False,
    wake_at: int | None = None,
    started_at: int | None = None,
    parent_run_id: str | None = None,
    owes: bool = False,
    queue: str | None = None,
    priority: int = 0,
) -> RunRow:
    """The index row of a run, of a workflow that was created at the first microsecond."""
    return RunRow(
        run_id,
        component,
        "workflow",
        status,
        parked,
        wake_at,
        1,
        started_at,
        parent_run_id=parent_run_id,
        owes=owes,
        queue=queue,
        priority=priority,
    )


def _forget(_: Append) -> None:
    """Called when an append is settled that nobody asks after."""


def make_append(
    stream: str,
    after: int = 0,
    new: int | list[RawFact] = 1,
    *changes: IndexChange,
    chain: Chain | None = None,
    on_settled: Callable[[Append], None] = _forget,
    urgent: bool = True,
    edge: bool = False,
    volatile: bool = False,
) -> Append:
    """A request to extend a stream.

    Args:
        stream: The stream.
        after: The version that it extends.
        new: The facts, or how many to make.
        changes: Index changes that are written with them.
        chain: The chain that it belongs to; by default one of its own.
        on_settled: Called by the sink of a `Driver`, as the engine's sink does.
        urgent: See `agnt5.events.log.Append`; the others too.
        edge: See there.
        volatile: See there.
    """
    facts = make_facts(new) if isinstance(new, int) else new
    chain = Chain() if chain is None else chain
    return Append(stream, after, facts, changes, chain, on_settled, urgent, edge, volatile=volatile)


class Sunk:
    """A sink that keeps what is settled, in order, and lets a test wait for it."""

    def __init__(self) -> None:
        self.settled: list[Append] = []
        self.groups: list[int] = []
        self._queue: queue.Queue[Append] = queue.Queue()

    def __call__(self, batch: Sequence[Append]) -> None:
        self.groups.append(len(batch))
        for append in batch:
            self.settled.append(append)
            append.on_settled(append)
            self._queue.put(append)

    def wait(self, number: int) -> list[Append]:
        """The next settled appends, so many. Raises queue.Empty if they do not come."""
        return [self._queue.get(timeout=PATIENCE_S) for _ in range(number)]


class Driver(Generic[AnyLog]):
    """A log that was started with a sink to wait on.

    Attributes:
        log: The log.
        sunk: Its sink.
    """

    def __init__(self, log: AnyLog) -> None:
        self.log = log
        self.sunk = Sunk()
        log.start(self.sunk)

    def put(self, *appends: Append) -> list[StoreError | None]:
        """Hand over appends, wait until they are settled, and answer their errors."""
        self.log.append(list(appends))
        self.sunk.wait(len(appends))
        return [append.error for append in appends]

    def versions(self, stream: str) -> list[int]:
        """The versions of the facts that can be read."""
        return [fact.version for fact in self.log.read(stream)]
