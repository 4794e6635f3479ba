"""Watches contracts while runs go on: after their facts are durable, and never on a replay.

A violation is logged, counted and told; nothing that happens here can touch a run. What is known of
a run lives in memory while that is executed; of one that comes back, its beginning is read again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from agnt5.contracts import Contract, Verdict, Violation
from agnt5.contracts.observed import ContractEvent, Observer
from agnt5.contracts.patterns import State
from agnt5.events.codec import decode_fact
from agnt5.events.index import NO_RUN
from agnt5.events.log import Append, EventLog, StoredFact
from agnt5.events.run.facts import RunParked, RunPaused, RunQueued, RunSuspended, Terminal
from agnt5.exceptions import ConfigurationError

logger = logging.getLogger("agnt5.contracts")

_UNREAD = "the contracts of run %s cannot be checked just now, and are again at its next event: %s"

OnViolation = Callable[[Violation], object]


class _Run:
    """One run that is watched."""

    def __init__(self, run_id: str, contracts: Sequence[Contract]) -> None:
        self.observer = Observer(run_id)
        self.states: dict[int, State] = {n: each.begin() for n, each in enumerate(contracts)}
        """Of the contracts that are not decided yet, by their place."""
        self.waiting: list[Append] | None = None
        """What came while its beginning is being read."""


class ContractWatch:
    """The contracts of a runtime. Lives on its loop.

    Args:
        contracts: What must hold of each run.
        on_violation: Called with each violation, on the loop of the runtime: it must not block.

    Raises:
        ConfigurationError: When one is no contract.
    """

    def __init__(
        self, contracts: Iterable[Contract] = (), on_violation: OnViolation | None = None
    ) -> None:
        self.contracts = tuple(contracts)
        for each in self.contracts:
            if not isinstance(each, Contract):
                msg = (
                    f"contracts takes what agnt5.contracts makes, such as never(...), not {each!r}"
                )
                raise ConfigurationError(msg)
        self.counts: Counter[str] = Counter()
        """How many violations there were, by the name of the contract."""
        self._on_violation = on_violation
        self._runs: dict[str, _Run] = {}
        self._log: EventLog | None = None

    @property
    def listeners(self) -> tuple[Callable[[Sequence[Append]], None], ...]:
        """Who is to be told of settled appends; nobody, if there is nothing to watch."""
        return (self.hear,) if self.contracts else ()

    def open(self, log: EventLog) -> EventLog:
        """Begin to watch what is written to this log; returns it."""
        self._log = log
        return log

    def close(self) -> None:
        """Watch no more."""
        self._log = None
        self._runs.clear()

    def hear(self, settled: Sequence[Append]) -> None:
        """Appends are durable, or have failed."""
        for append in settled:
            if append.error is not None or append.stream.startswith(NO_RUN) or self._log is None:
                continue
            try:
                self._take(append, self._log)
            except Exception:
                self._runs.pop(append.stream, None)
                logger.exception(_UNREAD, append.stream, "see below")

    def _take(self, append: Append, log: EventLog) -> None:
        run = self._runs.get(append.stream)
        if run is None or (run.waiting is None and run.observer.version != append.after):
            # Also when somebody else has extended the stream in between.
            run = self._runs[append.stream] = _Run(append.stream, self.contracts)
            if append.after:
                run.waiting = []
                self._read(append.stream, append.after, run, log)
        if run.waiting is not None:
            run.waiting.append(append)
        else:
            self._feed(append, run)

    def _feed(self, append: Append, run: _Run) -> None:
        fact = None
        for n, raw in enumerate(append.facts, start=append.after + 1):
            row = StoredFact(append.stream, n, 0, raw.topic, raw.state, raw.at, raw.event_id)
            fact = decode_fact(row)
            event = run.observer.see(fact, raw.at)
            self._step(run, event)
            if isinstance(fact, Terminal):
                self._end(run, event)
        if isinstance(fact, Terminal | RunParked | RunSuspended | RunPaused | RunQueued):
            # A run that only waits, for whatever, costs no memory: it is read when it goes on.
            del self._runs[append.stream]

    def _read(self, run_id: str, upto: int, run: _Run, log: EventLog) -> None:
        """Read the beginning of a run that another incarnation, or another process, has written."""

        def look() -> list[StoredFact]:
            return log.read(run_id, upto=upto)

        def on_read(reading: asyncio.Future[list[StoredFact]]) -> None:
            error = reading.exception()
            if self._runs.get(run_id) is not run:
                return
            if error is not None:
                del self._runs[run_id]
                logger.error(_UNREAD, run_id, error)
                return
            try:
                self._catch_up(run, reading.result())
            except Exception:
                self._runs.pop(run_id, None)
                logger.exception(_UNREAD, run_id, "see below")

        reading = asyncio.get_running_loop().run_in_executor(None, look)
        reading.add_done_callback(on_read)

    def _catch_up(self, run: _Run, rows: Sequence[StoredFact]) -> None:
        for row in rows:
            # What was violated then was told then.
            self._step(run, run.observer.see(decode_fact(row), row.at), silent=True)
        waiting, run.waiting = run.waiting or [], None
        # As if they came now: one of them may have it forgotten, and the next read again.
        self.hear(waiting)

    def _step(self, run: _Run, event: ContractEvent, *, silent: bool = False) -> None:
        for place, state in list(run.states.items()):
            contract = self.contracts[place]
            try:
                run.states[place] = after = contract.step(state, event)
                verdict = contract.verdict(after)
            except Exception:
                # Predicates are code of users.
                del run.states[place]
                logger.exception(
                    "contract %s failed at event %d of run %s, which it watches no more",
                    contract.name,
                    event.version,
                    event.run_id,
                )
                continue
            if verdict is not Verdict.PENDING:
                del run.states[place]
            if verdict is Verdict.VIOLATED and not silent:
                self._tell(Violation(contract.name, event.run_id, event))

    def _end(self, run: _Run, event: ContractEvent) -> None:
        for place, state in run.states.items():
            contract = self.contracts[place]
            if contract.end(state) is Verdict.VIOLATED:
                self._tell(Violation(contract.name, event.run_id, event, at_end=True))

    def _tell(self, violation: Violation) -> None:
        self.counts[violation.contract] += 1
        logger.error("%s", violation)
        if self._on_violation is None:
            return
        try:
            self._on_violation(violation)
        except Exception:
            logger.exception("on_violation failed: %s", violation)
